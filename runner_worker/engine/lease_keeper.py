"""The heartbeat: extends the leases of the runs that this process holds."""

import asyncio
from collections.abc import Callable

from runner_core.db import Database
from runner_core.loop_health import Loop
from runner_worker.engine.leases import extend
from runner_worker.engine.recorder import Recorder
from runner_worker.engine.runs import Run
from runner_worker.threads import DaemonThreads


class LeaseKeeper:
    """Extends the leases of all runs. Owned by the engine's event loop; the statements run in the thread "leases".

    Each heartbeat is a turn of `turning`.
    """

    def __init__(self, db: Database, held: Callable[[], list[Run]], recorder: Recorder, turning: Loop) -> None:
        self._db = db
        self._turning = turning
        self._held = held
        self._recorder = recorder
        self._threads = DaemonThreads("leases", loop=turning)

    async def keep(self) -> None:
        """Extend the leases every HEARTBEAT_SECONDS until the task is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._db.settings.jobs.heartbeat_seconds)
            if not (runs := self._held()):
                continue
            lost = await loop.run_in_executor(self._threads, extend, self._db, runs, self._turning.progressed)
            for run in runs:
                # A transaction under way may have ended the run; otherwise it will find the lost lease by itself.
                if run.token in lost and not self._recorder.is_writing(run):
                    run.end("fenced")

    def close(self) -> None:
        """End the thread."""
        self._threads.shutdown()
