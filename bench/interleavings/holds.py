"""Checks at the end of a schedule, besides the invariants. Each one yields what is wrong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.interleavings.verbs import JOB
from bench.interleavings.world import World
from runner_api.verbs.retry import Retried
from runner_core.errors import Conflict, NotFound, Rejected


@dataclass(frozen=True)
class Seen:
    """The end of a schedule: what the verbs returned or raised, and the database."""

    world: World
    results: Sequence[Any]

    @property
    def status(self) -> str | None:
        """Return the job's status; None without the job."""
        status: str | None = self.world.value("SELECT status FROM jobs WHERE id = %s", JOB)
        return status

    def count(self, table_and_condition: str) -> int:
        """Return how many rows of `table_and_condition` there are."""
        return int(self.world.value(f"SELECT count(*) FROM {table_and_condition}"))  # noqa: S608  named here


Holds = Callable[[Seen], Iterator[str]]


def one_claims(seen: Seen) -> Iterator[str]:
    """Check that one claim has the region and its call, and the other one nothing."""
    won = sorted((len(claimed), len(begun)) for claimed, _, begun in seen.results)
    if won != [(0, 0), (1, 1)]:
        yield f"(regions, calls) of the claims: {won}"
    if seen.count("tries t JOIN region_runs r USING (job_id, region, attempt)") != seen.count("answers"):
        yield "a call has been started twice in one attempt"


def one_claims_again(seen: Seen) -> Iterator[str]:
    """Check that one claim has the region, and the other one nothing. No call is started with a further attempt,
    because the earlier one may have stored its answer."""
    won = sorted((len(claimed), len(begun)) for claimed, _, begun in seen.results)
    if won != [(0, 0), (1, 0)]:
        yield f"(regions, calls) of the claims: {won}"
    if started := seen.count("tries t JOIN region_runs r USING (job_id, region, attempt)"):
        yield f"{started} calls have been started with a further attempt"


def is_cancelled(seen: Seen) -> Iterator[str]:
    """Check that the job is cancelled and all its regions have ended."""
    if isinstance(seen.results[-1], Conflict) or seen.status != "cancelled":
        yield f"the job is {seen.status}, and cancelling said {seen.results[-1]}"
    if left := seen.count("region_runs WHERE lease_token IS NOT NULL OR finished_at IS NULL"):
        yield f"{left} regions have not ended"


def is_cancelled_or_done(seen: Seen) -> Iterator[str]:
    """Check that the job is completed if cancelling was refused, else cancelled."""
    wanted = "completed" if isinstance(seen.results[-1], Conflict) else "cancelled"
    if seen.status != wanted:
        yield f"the job is {seen.status} and should be {wanted}"
    if left := seen.count("region_runs WHERE finished_at IS NULL"):
        yield f"{left} regions have not ended"


def is_completed(seen: Seen) -> Iterator[str]:
    """Check that each worker has recorded its region, and that exactly one of them has closed the job."""
    if seen.status != "completed":
        yield f"the job is {seen.status}"
    closers = sum(len(written.endings.jobs) for written in seen.results)
    if closers != 1 or any(written.fenced for written in seen.results):
        yield f"{closers} transactions have closed the job: {seen.results}"


def is_recorded_or_staged(seen: Seen) -> Iterator[str]:
    """Check that the region has ended if the worker was first, and is staged again if the sweeper was first. The answer
    is stored in both cases."""
    written = seen.results[0]
    staged = seen.count("outbox WHERE processed_at IS NULL")
    if (bool(written.fenced), seen.status, staged) not in ((False, "completed", 0), (True, "running", 1)):
        yield f"fenced {written.fenced}, the job is {seen.status}, {staged} messages wait"
    if not seen.count("answers WHERE status = 'ok'"):
        yield "the answer is lost"


def is_recorded_or_crashed(seen: Seen) -> Iterator[str]:
    """Check that the region has ended; it has its answer if the worker was first."""
    fenced = bool(seen.results[0].fenced)
    if seen.status not in (("completed",) if not fenced else ("completed", "failed")):
        yield f"fenced {fenced}, the job is {seen.status}"
    if seen.count("outbox WHERE processed_at IS NULL"):
        yield "a region without attempts is staged again"


def keeps_or_loses_its_lease(seen: Seen) -> Iterator[str]:
    """Check that the lease is either extended, or cleared and its region staged again."""
    taken = bool(seen.results[1])
    live = seen.count("region_runs WHERE lease_expires_at > clock_timestamp()")
    staged = seen.count("outbox WHERE processed_at IS NULL")
    if (live, staged) != ((0, 1) if taken else (1, 0)):
        yield f"taken back {seen.results[1]}, {live} leases live, {staged} messages wait"
    if seen.results[0] and not taken:
        yield "the worker was told that it lost a lease that it has"


def is_cancelled_for_good(seen: Seen) -> Iterator[str]:
    """Check that the job is cancelled, and that the retry's result tells whether it was retried before."""
    yield from is_cancelled(Seen(seen.world, seen.results[::-1]))
    retried = isinstance(seen.results[1], Retried)
    if retried != bool(seen.count("job_events WHERE type = 'retry_requested'")):
        yield f"the retry said {seen.results[1]}, and its event says otherwise"


def runs_again(seen: Seen) -> Iterator[str]:
    """Check that the failed region is open and staged, and the other one recorded."""
    waiting = seen.count("outbox WHERE processed_at IS NULL AND topic = 'beacon-us'")
    if (seen.status, waiting, seen.count("executions WHERE region = 'EU'")) != ("running", 1, 1):
        yield f"the job is {seen.status}, {waiting} messages wait: {seen.results}"


def is_published_once(seen: Seen) -> Iterator[str]:
    """Check that each message is marked as sent once, and is in Redis under the marked id."""
    marked = {
        row["dispatch_id"] for row in seen.world.rows("SELECT dispatch_id FROM outbox WHERE processed_at IS NOT NULL")
    }
    queued = seen.world.queued()
    if set(queued) != marked or len(queued) != len(marked):
        yield f"Redis holds {queued}, and the outbox says {marked}"
    if waiting := seen.count("outbox WHERE processed_at IS NULL OR attempts <> 1"):
        yield f"{waiting} messages wait, or were sent more than once"


def is_withdrawn_or_sent(seen: Seen) -> Iterator[str]:
    """Check that the job is cancelled, and that each message was either sent or withdrawn."""
    yield from is_cancelled(seen)
    for row in seen.world.rows("SELECT processed_at, dispatch_id, last_error FROM outbox"):
        if row["processed_at"] is None or (row["dispatch_id"] is None) != (row["last_error"] == "job cancelled"):
            yield f"a message is neither sent nor withdrawn: {row}"
        elif row["dispatch_id"] and row["dispatch_id"] not in seen.world.queued():
            yield "a message was marked as sent, and Redis does not hold it"


def is_accepted_once(seen: Seen) -> Iterator[str]:
    """Check that there is one job: one request has made it, and the other one is answered as a repeat."""
    answers = sorted(str(getattr(result, "replayed", type(result).__name__)) for result in seen.results)
    if seen.count("jobs") != 1 or answers != ["False", "True"]:
        yield f"{seen.count('jobs')} jobs, replayed: {answers}, {seen.results}"


def is_refused_once(seen: Seen) -> Iterator[str]:
    """Check that there is one job, and that the other request is refused because of the shared key."""
    codes = [result.code for result in seen.results if isinstance(result, Rejected)]
    if seen.count("jobs") != 1 or codes not in (["idempotency_key_reuse"], ["replay_detected"]):
        yield f"{seen.count('jobs')} jobs, refused: {codes}, {seen.results}"


def is_removed_or_retried(seen: Seen) -> Iterator[str]:
    """Check that the job is removed with all its rows and the retry says so, or that it runs again with a message."""
    retried = seen.results[1]
    if isinstance(retried, NotFound):
        left = [table for table in ("jobs", "job_events", "outbox", "executions", "tries") if seen.count(table)]
        if left:
            yield f"the job was not found, and is in {left}"
    elif not isinstance(retried, Retried) or seen.status != "running":
        yield f"the retry said {retried!r}, and the job is {seen.status}"
    elif not seen.count("outbox WHERE processed_at IS NULL"):
        yield "the job runs again without a message"


def is_sent_again(seen: Seen) -> Iterator[str]:
    """Check that the first message was sent, and that the second one, of the operator, was sent or waits."""
    sent, waiting = (seen.count(f"outbox WHERE processed_at IS {null} NULL") for null in ("NOT", ""))
    said = seen.results[0]
    if isinstance(said, Conflict):
        if (sent, waiting) != (1, 0):
            yield f"{sent} messages were sent and {waiting} wait after {said}"
    elif sent + waiting != 2 or len(seen.world.queued()) != sent:
        yield f"{sent} messages were sent and {waiting} wait, Redis holds {len(seen.world.queued())}"


def one_acts(seen: Seen) -> Iterator[str]:
    """Check that one of two equal actions happened, and that the other one was refused."""
    if sum(isinstance(result, Conflict) for result in seen.results) != 1:
        yield f"the actions said {seen.results}"
    if seen.count("job_events WHERE type IN ('cancel_requested', 'retry_requested')") != 1:
        yield "there is not one event of it"


def is_stored(seen: Seen) -> Iterator[str]:
    """Check that the answer is stored, unless its region had ended before."""
    stored = seen.count("answers WHERE status = 'ok'")
    if not stored and not seen.results[0].fenced:
        yield "the answer is lost"
    if seen.count("answers a JOIN region_runs r USING (job_id, region) WHERE a.completed_at > r.finished_at"):
        yield "an answer was stored in a region that had ended"


def is_stored_and_staged(seen: Seen) -> Iterator[str]:
    """Check that the answer is stored, whether the lease was cleared before or after it."""
    if not seen.count("answers WHERE status = 'ok'"):
        yield "the answer is lost"
    if not seen.results[1] and not seen.count("region_runs WHERE lease_token IS NOT NULL"):
        yield "nobody has taken the lease back, and nobody has it"


def is_released_once(seen: Seen) -> Iterator[str]:
    """Check that the region is staged once and has no lease."""
    waiting = seen.count("outbox WHERE processed_at IS NULL")
    if (waiting, seen.count("region_runs WHERE lease_token IS NOT NULL")) != (1, 0):
        yield f"{waiting} messages wait, and the lease is not what it should be"


def has_a_claim(seen: Seen) -> Iterator[str]:
    """Check that the worker that claimed the region has its lease."""
    claimed = seen.results[0][0]
    held = {str(row["lease_token"]) for row in seen.world.rows("SELECT lease_token FROM region_runs")}
    if {row["token"] for row in claimed} != held or not claimed:
        yield f"the claim said {claimed}, and the leases are {held}"


def is_reachable(seen: Seen) -> Iterator[str]:
    """Check that the region's message is in Redis or waits in the outbox."""
    if not seen.world.queued() and not seen.count("outbox WHERE processed_at IS NULL"):
        yield "the message is nowhere"


def has_its_next_worker(seen: Seen) -> Iterator[str]:
    """Check that either the late worker has recorded the region, or the next one has claimed it; never both."""
    fenced, claimed = bool(seen.results[0].fenced), bool(seen.results[1][0])
    if fenced != claimed or seen.status != ("running" if claimed else "completed"):
        yield f"the late worker is fenced: {fenced}, the next one has claimed: {claimed}, the job is {seen.status}"
    if not seen.count("answers WHERE status = 'ok'") and not seen.count("answers WHERE attempt = 2"):
        yield "the answer is lost"


def is_accepted_anew(seen: Seen) -> Iterator[str]:
    """Check that an expired key is used for the new request."""
    said = seen.results[0]
    if getattr(said, "replayed", True) or seen.count("jobs") != 2:
        yield f"there are {seen.count('jobs')} jobs, and the request was told {said!r}"
