"""The publisher's verbs: publish, sweep and remove."""

from functools import partial

from bench.crash import states
from bench.crash.lane import Lane, until
from bench.crash.verb import Story, Verb, jobs_ended, nothing_waits

PUSH = ("EVAL local refused",)
LOOK = ("SET beacon:sentinel", "GET beacon:sentinel", "INFO", "MULTI", "LRANGE", "EXEC")
LEASES = (
    "BEGIN",
    "sweep.lead",
    "sweep.expired",
    "sweep.lock",
    "sweep.clear",
)  # the beginning of each branch that clears a lease
CLOSING = ("sweep.doomed", "region_runs.close", "jobs.close")  # the end of each branch that ends a region


def publisher(lane: Lane, story: Story, **env: str) -> None:
    """Start a publisher."""
    lane.victim("publisher", **env)


def three(lane: Lane, story: Story) -> None:
    """Make three accepted jobs."""
    for _ in range(3):
        states.submitted(lane, story, "US")


def with_a_bad_row(lane: Lane, story: Story) -> None:
    """Make a message with an invalid queue name: only that message fails, and is given up at once."""
    name = states.submitted(lane, story, "US")
    lane.do("INSERT INTO outbox (job_id, topic, payload) VALUES (%s, 'NOT A QUEUE', '{}')", name)


def published_before(lane: Lane, story: Story) -> None:
    """Let the publisher behind the taps publish a job and wait for a notification."""
    publisher(lane, story, OUTBOX_POLL_MS="60000")
    listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%LISTEN %'"
    until(lambda: lane.one(listening), "the publisher listens")
    states.submitted(lane, story, "US")
    until(lambda: nothing_waits(lane, story), "the first job is published")


def one_more(lane: Lane, story: Story) -> None:
    """Submit a job."""
    states.submitted(lane, story, "US")


def nothing_yet(lane: Lane, story: Story) -> None:
    """Do nothing."""


def staged(lane: Lane, story: Story) -> bool:
    """Return whether the region was staged again and no message waits to be published."""
    return bool(lane.one("SELECT count(*) FROM job_events WHERE type = 'region_staged'")) and nothing_waits(lane, story)


VERBS = [
    Verb("publish: a batch", three, publisher, nothing_waits, ("outbox.mark",), redis=PUSH),
    Verb("publish: a batch, warm", nothing_yet, one_more, nothing_waits, ("outbox.mark",), redis=PUSH,
         warm=published_before),
    Verb("publish: a row that fails", with_a_bad_row, partial(publisher, OUTBOX_MAX_ATTEMPTS="1"),
         nothing_waits, ("outbox.fail",), redis=PUSH,
         env={"OUTBOX_MAX_ATTEMPTS": "1"}),
    Verb("sweep: a lease that ran out", states.expired, publisher, staged, ("sweep.clear",)),
    Verb("sweep: attempts used up", partial(states.expired, used_up=True), publisher, jobs_ended, ("sweep.end",),
         elsewhere=LEASES),
    Verb("sweep: too long in the queue", states.overdue, publisher, jobs_ended, ("sweep.end",),
         elsewhere=("BEGIN", "sweep.lead", *CLOSING)),
    Verb("sweep: undeliverable", states.undeliverable, publisher, jobs_ended, ("sweep.end",),
         elsewhere=("BEGIN", "sweep.lead", "sweep.page", "sweep.silent", *CLOSING)),
    Verb("sweep: Redis was emptied", states.lost, publisher, staged, ("outbox.stage", "sweep.clock"),
         elsewhere=("BEGIN", "sweep.page", "sweep.doomed"), redis=LOOK,
         repeats=()),
    Verb("sweep: a message that is gone", states.silent, publisher, staged, ("outbox.stage",),
         elsewhere=("BEGIN", "sweep.lead", "sweep.page", "sweep.doomed")),
    Verb("remove by retention", states.old, partial(publisher, JOB_RETENTION_DAYS="8"), states.gone, ("retention.",),
         ended=states.gone, env={"JOB_RETENTION_DAYS": "8"}),
]  # fmt: skip
