"""The workers' verbs: take and claim, store an answer, record and close, a further try, heartbeat, release."""

import signal
from functools import partial
from typing import Any

from bench.crash import states
from bench.crash.lane import Lane, until
from bench.crash.verb import Story, Verb, jobs_ended

SETTLE = ("UNLINK rq:job:*",)
TAKE = ("BLMOVE", "EVAL local ids", *SETTLE)
BOTH = ("publisher", "worker US", "worker EU")
ASK = ("POST /US",)
CLAIM = ("region_runs.claim",)
RECORD = ("executions.record",)
LOCK = ("BEGIN", "jobs.lock")  # the first statements of every verb that changes a job
WRITE = ("BEGIN", "region_runs.hold", "answers.finish")  # the same in a record and in a stored answer
DISTANT_SECONDS = 30.0


def waiting(lane: Lane, story: Story, *regions: str, **shape: Any) -> None:
    """Make a job whose messages are in Redis."""
    states.published(lane, story, *regions, **shape)


def for_both(lane: Lane, story: Story) -> None:
    """Make a job of both regions."""
    waiting(lane, story, "US", "EU", provider_seconds=15)


def work(lane: Lane, story: Story, *regions: str, **env: str) -> None:
    """Start workers."""
    for region in regions or ("US",):
        lane.victim(f"worker {region}", **env)


def worked_before(lane: Lane, story: Story) -> None:
    """Let the worker behind the taps run a job."""
    work(lane, story)
    waiting(lane, story, questions=("q1", "q2"))
    until(lambda: jobs_ended(lane, story), "the first job has ended")


def two_answers(lane: Lane, story: Story) -> None:
    """Make a job of two questions, one of them slow, so that the first answer is stored alone."""
    lane.provider.set_rules([{"fault": "none", "delay": 0.25, "match": {"prompt": "two"}}])
    waiting(lane, story, questions=("q1", "q2"))


def both_at_once(lane: Lane, story: Story) -> None:
    """Let the providers of two workers answer at the same moment."""
    lane.provider.set_rules([{"fault": "none", "delay": DISTANT_SECONDS, "times": 2}])
    work(lane, story, "US", "EU")
    lane.provider.wait_for_calls(2)
    lane.provider.release()


def us_has_ended(lane: Lane, story: Story) -> bool:
    """Return whether the region US has finished."""
    return bool(lane.one("SELECT count(*) FROM region_runs WHERE region = 'US' AND finished_at IS NOT NULL"))


def claim_refused(lane: Lane, story: Story) -> bool:
    """Return whether the message was taken and removed."""
    return not lane.redis.exists("rq:queue:beacon-us") and not lane.redis.keys("rq:job:*")


def held_by_another(lane: Lane, story: Story) -> None:
    """Send a second message of a region while another worker runs the region and its provider is slow."""
    lane.provider.set_rules([{"fault": "none", "delay": DISTANT_SECONDS, "times": 1}])
    waiting(lane, story, provider_seconds=15)
    lane.others.start("worker US", lane.direct | {"CONCURRENCY": "1"})
    lane.provider.wait_for_calls(1)
    lane.do("INSERT INTO outbox (job_id, topic, payload) SELECT job_id, topic, payload FROM outbox")
    states.publish_all(lane)


def slow(lane: Lane, story: Story) -> None:
    """Make a job whose provider answers after two heartbeats."""
    waiting(lane, story)
    lane.provider.set_rules([{"fault": "none", "delay": 0.6}])


def failing_once(lane: Lane, story: Story) -> None:
    """Make a job whose provider fails once."""
    waiting(lane, story)
    lane.provider.set_rules([{"fault": "status", "status": 503, "times": 1}])


def out_of_reach(lane: Lane, story: Story) -> None:
    """Refuse connections to the provider during the first try: a second one begins only after the first was refused."""
    lane.taps["provider"].refuse()
    work(lane, story)
    until(lambda: lane.one("SELECT count(*) FROM tries WHERE number > 1"), "a second try has begun")
    lane.taps["provider"].accept()


def told_to_stop(lane: Lane, story: Story) -> None:
    """Stop a worker by SIGTERM while its provider hangs."""
    lane.provider.set_rules([{"fault": "hang", "times": 1}])
    work(lane, story)
    lane.provider.wait_for_calls(1)
    lane.victims.running()[-1].send(signal.SIGTERM)


def released(lane: Lane, story: Story) -> bool:
    """Return whether the region was released."""
    return bool(lane.one("SELECT count(*) FROM job_events WHERE type = 'region_released'"))


def robbed(lane: Lane, story: Story) -> None:
    """Let another worker take the region over and call the provider, while the victim still waits for its answer."""
    late = {"fault": "none", "delay": DISTANT_SECONDS, "times": 1, "text": "The answer to who has lost the lease."}
    lane.provider.set_rules([late, {"fault": "none", "delay": 0.6, "times": 1}])
    work(lane, story, LEASE_SECONDS="60", HEARTBEAT_SECONDS="30", CONCURRENCY="1")
    lane.provider.wait_for_calls(1)
    lane.do("UPDATE region_runs SET lease_expires_at = clock_timestamp() WHERE lease_token IS NOT NULL")
    lane.let_go("publisher", "worker US")
    lane.provider.wait_for_calls(2)


def answer(lane: Lane, story: Story) -> None:
    """Let the provider answer the victim."""
    lane.provider.release()


def fenced(lane: Lane, story: Story) -> bool:
    """Return whether the victim has logged that its lease is lost."""
    return "lease lost" in lane.said()


VERBS = [
    Verb("take and claim: new", waiting, work, jobs_ended, CLAIM, redis=TAKE),
    Verb("take and claim: new, warm", worked_before, waiting, jobs_ended, CLAIM, redis=TAKE),
    Verb("take and claim: again", states.answered_in_part, work, jobs_ended, CLAIM, elsewhere=LOCK, redis=SETTLE),
    Verb("read what is stored", states.answered_in_part, work, jobs_ended, ("region_runs.stored",),
         elsewhere=("BEGIN",)),
    Verb("start a call after the claim", states.answered_in_part, work, jobs_ended, ("answers.start",),
         elsewhere=WRITE[:2]),
    Verb("take and claim: not ours", held_by_another, work, claim_refused, CLAIM, elsewhere=LOCK, redis=SETTLE,
         then=answer),
    Verb("store an answer", two_answers, work, jobs_ended, ("answers.finish",), without=RECORD, provider=ASK),
    Verb("record and close: not the last region", for_both, work, us_has_ended, RECORD, others=BOTH),
    Verb("record and close: the last region", states.last, work, jobs_ended, RECORD, elsewhere=WRITE),
    Verb("record and close: the last region, warm", worked_before, waiting, jobs_ended, RECORD),
    Verb("record and close: two regions at once", for_both, both_at_once, jobs_ended, RECORD, elsewhere=WRITE,
         others=BOTH),
    Verb("record and close: fenced", partial(waiting, provider_seconds=15), answer, fenced, ("executions.kept",),
         warm=robbed, elsewhere=(*LOCK, "answers.finish", "region_runs.close", "jobs.close")),
    Verb("a further try", failing_once, work, jobs_ended, ("tries.begin",), provider=ASK),
    Verb("a try that reached nobody", waiting, out_of_reach, jobs_ended, ("tries.withdraw",),
         elsewhere=(*LOCK, *WRITE, *RECORD, "region_runs.close", "jobs.close")),
    Verb("heartbeat", slow, work, jobs_ended, ("region_runs.beat",), repeats=()),
    Verb("release at SIGTERM", waiting, told_to_stop, released, ("region_runs.release",), elsewhere=LOCK),
]  # fmt: skip
