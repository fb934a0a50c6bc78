"""The calls of region runs."""

import asyncio
import time

from runner_core.failpoints import failpoint
from runner_core.regions import Catalogue
from runner_worker.engine.asking import ask_of, error_of
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.provenance import UNKNOWN
from runner_worker.engine.recorder import Recorder
from runner_worker.engine.runs import Answer, Call
from runner_worker.engine.tries import FurtherTries
from runner_worker.providers import CallFailed, Providers


class Calls:
    """Sends calls to providers and passes the answers to the recorder. Owned by the engine's event loop."""

    def __init__(
        self, providers: Providers, catalogue: Catalogue, capacity: Capacity, recorder: Recorder, tries: FurtherTries
    ) -> None:
        self._providers = providers
        self._catalogue = catalogue
        self._capacity = capacity
        self._recorder = recorder
        self._tries = tries

    def close(self) -> None:
        """Close the connections to the providers. In the event loop."""
        self._providers.close()

    async def make_all(self, calls: list[Call]) -> None:
        """Make the calls of one run concurrently, as far as there are places."""
        if len(calls) == 1:
            await self.make(calls[0])
            return
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(self.make(call))

    async def make(self, call: Call) -> None:
        """Make one paid call: wait for a place, commit the call's row, send the request, record the answer."""
        if call.unit.provider is None:
            call.unit.add(call.question_id, call.run_no, None, error_of(call, "no_provider"), None, UNKNOWN)
            self._capacity.answered(call)
            self._recorder.look_at(call.unit)
            return
        call.asked = time.monotonic()
        async with self._capacity.place(call):
            if not call.started and not await self._recorder.start(call):
                call.run.end("released")  # the region's previous worker has stored this answer
                return
            self._recorder.answered(await self._ask(call))

    async def _ask(self, call: Call) -> Answer:
        """Ask the provider. When the task is cancelled, record first which tries did not reach the provider."""
        run, provider, upstream = call.run, call.unit.provider, call.unit.upstream
        if provider is None or upstream is None:
            raise LookupError("a call without a provider was started")
        run.begun = call.sent = True
        now = time.monotonic()
        call.begun = call.begun or now
        ask = ask_of(call, upstream, self._catalogue)
        try:
            reply = await self._providers.ask(provider, ask, self._tries.beginner(call, ask.deadline))
            answer = Answer.of(call, reply, place_ms=int((now - call.asked) * 1000))
        except CallFailed as failure:
            answer = Answer.failed(call, failure)
            task = asyncio.current_task()
            if failure.code == "cancelled" and task and task.cancelling():
                self._recorder.unreached(answer)
                raise asyncio.CancelledError from None
        failpoint("worker.answered")
        return answer
