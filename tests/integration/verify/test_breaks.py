"""Every invariant broken by hand, one at a time, and seen alone."""
# ruff: noqa: S608 - the statements are put together from this file only

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner_cli.invariants import Verdict

Connection = psycopg.Connection[Any]


def test_a_world_that_nobody_broke(world: None, broken: Callable[..., dict[str, Verdict]]) -> None:
    assert broken(signatures=True) == {}


TWIN = """CREATE TEMP TABLE twin AS SELECT * FROM {table} WHERE job_id = 'done' LIMIT 1;
    UPDATE twin SET id = nextval('result_ids'); INSERT INTO {table} SELECT * FROM twin"""
UNIT = "job_id = 'done' AND region = 'US' AND model_id = 'm1'"
WAITING_US = "job_id = 'waiting' AND topic = 'beacon-us'"

# The invariant, the job, what is said, and the statements that break it.
BREAKS = [
    ("I1", "waiting", "region US has neither", f"DELETE FROM outbox WHERE {WAITING_US}"),
    ("I1", "ghost", "no such job", "INSERT INTO nonces (public_key, nonce, job_id) VALUES ('k', 'n', 'ghost')"),
    (
        "I2",
        "running",
        "its lease ran out",
        "UPDATE region_runs SET lease_expires_at = now() - interval '46 seconds' WHERE job_id = 'running'",
    ),
    (
        "I2",
        "waiting",
        "neither claimed nor sent again",
        f"UPDATE outbox SET processed_at = now() - interval '46 seconds', dispatch_id = 'd-1' WHERE {WAITING_US}",
    ),
    (
        "I2",
        "waiting",
        "was given up",
        f"UPDATE outbox SET dead_at = now() - interval '46 seconds' WHERE {WAITING_US}",
    ),
    (
        "I2",
        "waiting",
        "its time in the queue was over",
        "UPDATE jobs SET queued_until = now() - interval '46 seconds' WHERE id = 'waiting'",
    ),
    (
        "I2",
        "running",
        "no lease and no message",
        "UPDATE region_runs SET lease_token = NULL, lease_expires_at = NULL WHERE job_id = 'running';"
        "DELETE FROM outbox WHERE job_id = 'running' AND topic = 'beacon-us'",
    ),
    (
        "I3",
        "done",
        "has 2 executions",
        "DROP INDEX executions_job_region_model_uidx;" + TWIN.format(table="executions"),
    ),
    (
        "I3",
        "done",
        "has 2 answers to",
        "ALTER TABLE answers DROP CONSTRAINT answers_pkey;" + TWIN.format(table="answers"),
    ),
    (
        "I3",
        "done",
        "with another answer to",
        """UPDATE answers SET output = jsonb_set(output, '{response}', '"nicer"') WHERE job_id = 'done'
            AND region = 'US' AND model_id = 'm1'""",
    ),
    (
        "I4",
        "done",
        "US m1 was written again",
        f"""UPDATE executions SET output = '{{"response": "nicer"}}' WHERE {UNIT}""",
    ),
    (
        "I4",
        "done",
        "was recorded as completed and is failed",
        f"UPDATE executions SET status = 'failed', error = '{{}}' WHERE {UNIT}",
    ),
    ("I4", "done", "gone without a retry", f"DELETE FROM executions WHERE {UNIT}"),
    (
        "I4",
        "retried",
        "EU m1 was recorded twice",
        """UPDATE job_events SET detail = '{"units": [{"region": "EU", "model_id": "m2"}]}'
            WHERE job_id = 'retried' AND type = 'retry_requested'""",
    ),
    ("I5", "done", "completed and should be failed", "UPDATE jobs SET min_regions = 3 WHERE id = 'done'"),
    ("I5", "done", "failed and should be completed", "UPDATE jobs SET status = 'failed' WHERE id = 'done'"),
    ("I5", "waiting", "running and should be queued", "UPDATE jobs SET status = 'running' WHERE id = 'waiting'"),
    ("I5", "done", "it keeps outcome completed", "UPDATE jobs SET outcome = 'completed' WHERE id = 'done'"),
    ("I5", "done", "no number of completed", "UPDATE jobs SET completed_units = NULL WHERE id = 'done'"),
    (
        "I5",
        "failed",
        "5 failed, 0 cancelled units; its events say",
        "UPDATE jobs SET failed_units = 5 WHERE id = 'failed'",
    ),
    (
        "I5",
        "done",
        "region US has finished without a result of m3",
        """UPDATE jobs SET plan = jsonb_set(plan, '{US}', '["m1", "m2", "m3"]') WHERE id = 'done'""",
    ),
    (
        "I6",
        "running",
        "may be tried 4 times",
        "UPDATE region_runs SET max_attempts = 4 WHERE job_id = 'running'",
    ),
    (
        "I6",
        "running",
        "counts 2 attempts, but its events tell of 1",
        "UPDATE region_runs SET attempt = 2 WHERE job_id = 'running'",
    ),
    ("I7", "done", "its version is", "DELETE FROM job_events WHERE job_id = 'done' AND type = 'region_claimed'"),
    ("I7", "lost", "no job", "INSERT INTO job_events (job_id, seq, type) VALUES ('lost', 1, 'submitted')"),
    ("I7", "done", "its version is", "UPDATE jobs SET version = version + 1 WHERE id = 'done'"),
    (
        "I7",
        "done",
        "has finished without an event",
        "UPDATE job_events SET type = 'region_staged' WHERE job_id = 'done' AND type = 'region_finished'",
    ),
    (
        "I7",
        "done",
        "it has ended, but no event says so",
        "UPDATE job_events SET type = 'region_staged' WHERE job_id = 'done' AND type = 'job_completed'",
    ),
]


@pytest.mark.parametrize(
    ("invariant", "job_id", "sentence", "statements"), BREAKS, ids=[f"{b[0]}-{b[2].replace(' ', '-')}" for b in BREAKS]
)
def test_each_break_is_seen_alone(
    world: None,
    conn: Connection,
    broken: Callable[..., dict[str, Verdict]],
    invariant: str,
    job_id: str,
    sentence: str,
    statements: str,
) -> None:
    conn.execute(statements.encode())
    found = broken()
    assert list(found) == [invariant]
    assert {example[0] for example in found[invariant].examples} == {job_id}
    assert sentence in found[invariant].examples[0][1]
