"""Messages become region runs: one transaction a batch."""

import logging
from collections.abc import Iterator, Sequence

from runner_core import telemetry
from runner_core.db import Database
from runner_core.failpoints import failpoint
from runner_core.failures import failure_of
from runner_core.queries import Row
from runner_core.regions import Catalogue
from runner_core.store.answers import Started
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.leases import claim
from runner_worker.engine.record import started
from runner_worker.engine.runs import Call, Done, Message, Run, key_of

log = logging.getLogger("worker")
Region = tuple[str, str]  # a job's id and the region's name


class Claimer:
    """Claims regions. Owned by the thread that takes messages: one claim at a time."""

    def __init__(self, db: Database, catalogue: Catalogue, worker_name: str, capacity: Capacity) -> None:
        self._db = db
        self._catalogue = catalogue
        self._worker_name = worker_name
        self._capacity = capacity
        self._refused = 0  # claims of one region that the database refused, in a row

    def claim(self, messages: Sequence[Message], done: Done) -> Iterator[list[Run]]:
        """Claim the regions of `messages`; yields the runs of each transaction. `done` is told of the others.

        A claim that fails for the batch is made again one by one, so that what poisons it fails alone. Raises
        psycopg.Error or PoolTimeout when the database can't be reached.
        """
        wanted: dict[Region, Message] = {}
        repeated = []
        for message in messages:
            if wanted.setdefault((message.job_id, message.region), message) is not message:
                repeated.append(message)
        for runs in self._claim(list(wanted), wanted, done):
            for run in runs:
                del wanted[run.job_id, run.region]
            yield runs
        for message in [*repeated, *wanted.values()]:
            done(message, "not_claimed")

    def _claim(
        self, regions: list[Region], messages: dict[Region, Message], done: Done, *, start: bool = True
    ) -> Iterator[list[Run]]:
        runs: list[Run] = []
        chosen: list[Call] = []

        def plan(claimed: list[Row], stored: list[Row]) -> list[Started]:
            """Start the calls that there is room for; made anew when the claim is repeated."""
            runs[:] = self._runs(claimed, stored, messages, done)
            chosen[:] = self._capacity.choose(runs)
            return [started(call) for call in chosen]

        try:
            claimed, stored, begun = claim(self._db, regions, self._worker_name, plan if start else None)
        except Exception as error:
            concerns = failure_of(error).concerns
            if concerns == "server":
                raise
            if len(regions) == 1 and (concerns == "statement" or not start):
                self._refuse(messages.pop(regions[0]), done, error, concerns)
                return
            log.error("claiming %d regions failed, claiming one by one: %s", len(regions), error)
            for one in regions:
                # Alone, a region is claimed before anything is made of it, so that its attempts are used up.
                yield from self._claim([one], messages, done, start=len(regions) > 1)
            return
        self._refused = 0
        failpoint("worker.claimed")
        if begun:
            failpoint("worker.started")
        if not start:
            runs = self._runs(claimed, stored, messages, done)
        for call in chosen:
            call.started = key_of(call) in begun
        for row in claimed:
            if row["attempt"] == 1:
                waited = telemetry.series(telemetry.QUEUE_LATENCY, row["region"])
                waited.observe(max(0.0, row["waited_seconds"]))
        yield runs

    def _refuse(self, message: Message, done: Done, error: Exception, concerns: str) -> None:
        """Leave out a region that can't be claimed. Raises `error` when it is the second in a row: then it is no fault
        of the regions."""
        if concerns == "statement" and self._refused:
            raise error
        self._refused += 1
        # Not handed back to the queue, whose head it would block: the sweeper stages it again later.
        log.error("region can't be claimed job_id=%s region=%s: %s", message.job_id, message.region, error)
        done(message, "error")

    def _runs(self, claimed: list[Row], stored: list[Row], messages: dict[Region, Message], done: Done) -> list[Run]:
        earlier: dict[Region, list[Row]] = {}
        for row in stored:
            earlier.setdefault((row["job_id"], row["region"]), []).append(row)
        return [
            Run(row, messages[region], done, self._catalogue, earlier.get(region, ()))
            for row in claimed
            if (region := (row["job_id"], row["region"]))
        ]
