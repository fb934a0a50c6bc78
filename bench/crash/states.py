"""Prepares the state before a verb: jobs that the background processes have accepted, published, claimed or ended."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.crash.environment import ADMIN, PROVIDER_SECONDS
from bench.crash.lane import Lane, until
from bench.crash.verb import TERMINAL, Story
from outbox_publisher.relay import publish_batch
from runner_core.settings import Settings
from runner_core.signing import sign
from tests.http_requests import request

HEADERS = {"Content-Type": "application/json"}
ADMIN_HEADERS = HEADERS | {"Authorization": f"Bearer {ADMIN}"}
SECOND = 1_000_000_000  # nanoseconds


def spec(
    lane: Lane,
    name: str,
    regions: tuple[str, ...] = ("US",),
    questions: tuple[str, ...] = ("q1",),
    provider_seconds: int = PROVIDER_SECONDS,
) -> bytes:
    """Return a signed job."""
    job = {
        "id": name,
        "version": "v1",
        "benchmark": {"name": "crash", "container": {"image": "x"}, "input": {"hash": "sha256:placeholder"}},
        "constraints": {
            "regions": list(regions),
            "timeout": 20 * SECOND,
            "provider_timeout": provider_seconds * SECOND,
        },
        "questions": list(questions),
        "models": ["m1"],
        "metadata": {"timestamp": datetime.now(UTC).isoformat(), "nonce": name},
    }
    return json.dumps(sign(job, lane.key)).encode()


def submitted(lane: Lane, story: Story, *regions: str, **shape: Any) -> str:
    """Make a job that the background API has accepted."""
    name = lane.name()
    body = spec(lane, name, regions or ("US",), **shape)
    code, answer = request("POST", f"{lane.url}/api/v1/jobs", body, HEADERS)
    assert code == 202, answer
    story.jobs.append(name)
    story.facts["spec"] = body
    return name


def published(lane: Lane, story: Story, *regions: str, **shape: Any) -> str:
    """Make a job whose messages are in Redis."""
    name = submitted(lane, story, *regions, **shape)
    publish_all(lane)
    return name


def publish_all(lane: Lane) -> None:
    """Publish all waiting outbox rows, as a publisher does."""
    assert publish_batch(*lane.publishing), "nothing waited to be published"


def claimed(lane: Lane, name: str, region: str = "US", *, lease_seconds: float = 0.3) -> None:
    """Claim a region for a worker that never writes again."""
    from runner_core.db import Database
    from runner_worker.engine.leases import claim

    env = lane.direct | {"LEASE_SECONDS": str(lease_seconds), "HEARTBEAT_SECONDS": "0.01"}
    db = Database(Settings.from_env(env, "worker"), "worker").open()
    try:
        rows, _, _ = claim(db, [(name, region)], "us-gone-1-0000")
    finally:
        db.close()
    assert rows, "the region was not claimed"


def finished(lane: Lane, story: Story, *regions: str, fail: bool = False) -> str:
    """Make a job that has ended."""
    if fail:
        lane.provider.set_rules([{"fault": "status", "status": 403}])
    name = submitted(lane, story, *regions)
    run_by_others(lane, lambda: status(lane, name) in TERMINAL)
    lane.provider.set_rules([])
    return name


def run_by_others(lane: Lane, done: Callable[[], bool], *kinds: str) -> None:
    """Let the background processes run until `done` returns True."""
    lane.let_go(*(kinds or ("publisher", "worker US")))
    until(done, "the others have done their part")
    lane.hush()


def status(lane: Lane, name: str) -> str:
    """Return a job's status."""
    return str(lane.one("SELECT status FROM jobs WHERE id = %s", name))


def last(lane: Lane, story: Story) -> None:
    """Make a job in which EU has ended and US is the last open region."""
    name = published(lane, story, "US", "EU")
    ended = "SELECT finished_at FROM region_runs WHERE job_id = %s"
    run_by_others(lane, lambda: bool(lane.one(ended, name)), "worker EU")


def answered_in_part(lane: Lane, story: Story) -> None:
    """Make a job whose worker died after one of two answers: its lease is cleared, a new message is in Redis."""
    name = published(lane, story, "US", questions=("q1", "q2"))
    claimed(lane, name)
    lane.do(
        """INSERT INTO answers (job_id, region, model_id, question_id, run_no, status, provider_id, attempt, calls,
                                started_at, completed_at, duration_ms, output)
           VALUES (%s, 'US', 'm1', 'q1', 1, 'ok', 'provider-us', 1, 1, clock_timestamp(), clock_timestamp(), 1,
                   '{"response": "kept", "refused": false, "refusal_source": null, "finish_reason": "stop", "usage": {},
                     "simulated": false}')""",
        name,
    )
    lane.do("UPDATE region_runs SET lease_token = NULL, lease_expires_at = NULL")
    story.facts["without a call"] = {(name, "US", "q1")}


def held(lane: Lane, story: Story, lease_seconds: float = 0.3) -> None:
    """Make a job whose message is in Redis while a dead worker still has the region's lease."""
    claimed(lane, published(lane, story, "US"), lease_seconds=lease_seconds)


def expired(lane: Lane, story: Story, **kind: Any) -> None:
    """Make a job with an expired lease and without a message."""
    held(lane, story)
    lane.do("UPDATE region_runs SET lease_expires_at = clock_timestamp()")
    lane.redis.delete("rq:queue:beacon-us")
    if kind.get("used_up"):
        # Add the events of as many claims, because the checks count them.
        lane.do("UPDATE region_runs SET attempt = max_attempts")
        lane.do("UPDATE jobs SET version = version + 2")
        lane.do(
            """INSERT INTO job_events (job_id, seq, type, region, detail)
               SELECT e.job_id, e.seq + n, e.type, e.region, e.detail
                 FROM job_events e, generate_series(1, 2) AS n WHERE e.type = 'region_claimed'"""
        )


def overdue(lane: Lane, story: Story) -> None:
    """Make a job that was not claimed in time."""
    published(lane, story, "US")
    lane.do("UPDATE jobs SET queued_until = clock_timestamp()")


def undeliverable(lane: Lane, story: Story) -> None:
    """Make a job whose message is dead."""
    submitted(lane, story, "US")
    lane.do("UPDATE outbox SET dead_at = clock_timestamp(), attempts = 10")


def lost(lane: Lane, story: Story) -> None:
    """Make a job whose message was lost because Redis was emptied."""
    published(lane, story, "US")
    lane.redis.flushdb()


def silent(lane: Lane, story: Story) -> None:
    """Make a job whose message was taken two leases ago by a worker that has not claimed it."""
    published(lane, story, "US")
    lane.redis.delete("rq:queue:beacon-us")
    lane.do("UPDATE outbox SET processed_at = processed_at - interval '4 seconds'")


def old(lane: Lane, story: Story) -> None:
    """Make a job that ended long ago, with its messages, keys, nonces and embeddings, and the row of a dead process."""
    finished(lane, story, "US")
    ago = "interval '9 days'"
    lane.do(f"UPDATE jobs SET completed_at = completed_at - {ago}, created_at = created_at - {ago}")  # noqa: S608
    lane.do("UPDATE outbox SET processed_at = processed_at - interval '9 days'")
    lane.do("UPDATE idempotency_keys SET expires_at = clock_timestamp() - interval '1 day'")
    lane.do("UPDATE nonces SET created_at = created_at - interval '9 days'")
    lane.do("INSERT INTO embeddings (text_sha256, model, result, created_at) "
            "VALUES (sha256('x'), 'm', '{}', clock_timestamp() - interval '9 days')")  # fmt: skip
    lane.do("INSERT INTO processes (id, kind, host, pid, version, seen_at) "
            "VALUES ('gone', 'worker', 'x', 1, '1', clock_timestamp() - interval '2 hours')")  # fmt: skip
    story.jobs.clear()


def gone(lane: Lane, story: Story) -> bool:
    """Return whether no row of the old job is left."""
    left = lane.one(
        """SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM nonces) + (SELECT count(*) FROM tries)
                + (SELECT count(*) FROM embeddings) + (SELECT count(*) FROM idempotency_keys)
                + (SELECT count(*) FROM processes WHERE id = 'gone')"""
    )
    return not left
