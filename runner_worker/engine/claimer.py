"""Claims the region runs that messages ask for: one transaction per batch of messages."""

import logging
from collections.abc import Callable, Iterator, Sequence

from runner_core import telemetry
from runner_core.db import Database
from runner_core.failpoints import failpoint
from runner_core.failures import failure_of
from runner_core.queries import Row
from runner_core.regions import Catalogue
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.leases import claim, new_tokens
from runner_worker.engine.runs import Done, Message, Run, key_of

log = logging.getLogger("worker")
Region = tuple[str, str]  # a job's id and the region's name


class Claimer:
    """Claims region runs, one batch at a time. Owned by the thread that takes messages from the queue."""

    def __init__(self, db: Database, catalogue: Catalogue, worker_name: str, capacity: Capacity) -> None:
        self._db = db
        self._catalogue = catalogue
        self._worker_name = worker_name
        self._capacity = capacity
        self._refused = 0  # consecutive claims of a single region that the database refused
        # The tokens of the claim that is under way or has failed. A claim that fails after its COMMIT has leases: with
        # the same tokens the next claim finds them.
        self._tokens: dict[Region, str] = {}

    def claim(
        self, messages: Sequence[Message], done: Done, progressed: Callable[[], None] = lambda: None
    ) -> Iterator[list[Run]]:
        """Claim the region runs of `messages`; yield the claimed runs of each transaction, none after a failed one.

        `progressed` is called after each transaction, because a batch may have many.
        `done(message, "not_claimed")` is called for each message whose region run could not be claimed. When the claim
        of a batch fails, each region is claimed alone, so that one bad region does not block the others.
        Raises psycopg.Error or PoolTimeout when the database can't be reached.
        """
        wanted: dict[Region, Message] = {}
        repeated = []
        for message in messages:
            if wanted.setdefault((message.job_id, message.region), message) is not message:
                repeated.append(message)
        self._tokens = new_tokens(wanted) | {
            region: self._tokens[region] for region in wanted if region in self._tokens
        }
        for runs in self._claim(list(wanted), wanted, done):
            for run in runs:
                del wanted[run.job_id, run.region], self._tokens[run.job_id, run.region]
            progressed()
            yield runs
        self._tokens.clear()
        for message in [*repeated, *wanted.values()]:
            done(message, "not_claimed")

    def _claim(
        self, regions: list[Region], messages: dict[Region, Message], done: Done, *, start: bool = True
    ) -> Iterator[list[Run]]:
        rooms, places = self._capacity.rooms(self._catalogue.providers) if start else ([], 0)
        try:
            claimed, stored, begun = claim(self._db, regions, self._worker_name, rooms, places, self._tokens)
            runs = self._runs(claimed, stored, messages, done) if start else []
        except Exception as error:
            concerns = failure_of(error).concerns
            if concerns == "server":
                raise
            if len(regions) == 1 and (concerns == "statement" or not start):
                del self._tokens[regions[0]]
                self._refuse(messages.pop(regions[0]), done, error, concerns)
                yield []
                return
            log.error("claiming %d regions failed, claiming one by one: %s", len(regions), error)
            for one in regions:
                # Commit the claim of a single region before its runs are built: a region whose rows break this code
                # then uses up its attempts and ends.
                yield from self._claim([one], messages, done, start=len(regions) > 1)
            return
        self._refused = 0
        failpoint("worker.claimed")
        if begun:
            failpoint("worker.started")
        if not start:
            runs = self._runs(claimed, stored, messages, done)
        for call in (call for run in runs for call in run.plan) if begun else ():
            call.started = key_of(call) in begun
        for row in claimed:
            if row["attempt"] == 1:
                waited = telemetry.series(telemetry.QUEUE_LATENCY, row["region"])
                waited.observe(max(0.0, row["waited_seconds"]))
        yield runs

    def _refuse(self, message: Message, done: Done, error: Exception, concerns: str) -> None:
        """Skip a region that can't be claimed. Raise `error` at the second consecutive refusal by a statement error:
        then the cause is not the region."""
        if concerns == "statement" and self._refused:
            raise error
        self._refused += 1
        # Do not put the message back: it would block the head of the queue. The sweeper stages the region again later.
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
