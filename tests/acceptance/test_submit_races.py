"""Many clients at once, over HTTP: one key makes one job, and every accepted job is done once."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import redis

from runner_cli.local import Local
from tests.acceptance.fault_site import at_once
from tests.acceptance.sender import job, post, submit, verify, wait_for_all
from tests.jobs import one, query, until

Conn = psycopg.Connection[Any]
BATCH = 200


def test_two_submitters_with_one_key_at_once_make_one_job(stack: Callable[..., Local], conn: Conn) -> None:
    local = stack(worker_us=0, worker_eu=0, worker_asia=0)
    for number in range(25):
        spec = job(local, "US")
        key = f"key-{number}" if number % 2 else None
        send = partial(post, local, spec, **({"Idempotency_Key": key} if key else {}))
        answers = at_once([send, send])
        # The slower one sees the faster one's job, or, while that is not committed, is asked to come again.
        assert sorted(status for status, _ in answers)[-1] == 202, answers
        assert sorted(status for status, _ in answers)[0] in (200, 409), answers
        assert {answer["job_id"] for status, answer in answers if status != 409} == {spec["id"]}
        status, again = send()
        assert (status, again["job_id"], again["idempotent"]) == (200, spec["id"], True)
    for table in ("jobs", "idempotency_keys", "nonces", "outbox"):
        assert one(conn, f"SELECT count(*) FROM {table}") == 25, table  # noqa: S608 - our names


def test_one_key_for_two_jobs_at_once_keeps_one_of_them(stack: Callable[..., Local], conn: Conn) -> None:
    local = stack(worker_us=0, worker_eu=0, worker_asia=0)
    for number in range(10):
        rivals = [job(local, "US"), job(local, "US")]
        answers = at_once([partial(post, local, spec, Idempotency_Key=f"shared-{number}") for spec in rivals])
        assert sorted(status for status, _ in answers) in ([202, 409], [202, 422]), answers
        refused = next(answer for status, answer in answers if status != 202)
        assert refused["error_code"] in ("idempotency_key_reuse", "request_in_flight")
    for table in ("jobs", "idempotency_keys", "nonces", "outbox"):
        assert one(conn, f"SELECT count(*) FROM {table}") == 10, table  # noqa: S608 - our names


def test_two_hundred_jobs_through_two_of_everything(stack: Callable[..., Local], conn: Conn) -> None:
    local = stack(publisher=2, worker_us=2, worker_eu=2, worker_asia=2)
    with redis.Redis.from_url(local.env["REDIS_URL"]) as client:  # one that comes late finds its region's queue empty
        until(lambda: client.scard("rq:workers") == 6)
    specs = [job(local, questions=["math_basic", "identity_basic"]) for _ in range(BATCH)]
    with ThreadPoolExecutor(16) as clients:
        accepted = list(clients.map(partial(submit, local), specs))
    wait_for_all(conn)
    assert Counter(row["status"] for row in query(conn, "SELECT status FROM jobs")) == {"completed": BATCH}
    assert {row["id"] for row in query(conn, "SELECT id FROM jobs")} == set(accepted)
    done = query(conn, "SELECT job_id, region FROM executions")
    assert Counter((row["job_id"], row["region"]) for row in done) == {
        (name, region): 1 for name in accepted for region in ("US", "EU", "ASIA")
    }
    # Two calls a region, each made once; nobody took a region that another had.
    assert one(conn, "SELECT count(*) FROM answers WHERE status = 'ok' AND calls = 1") == 2 * 3 * BATCH
    assert one(conn, "SELECT max(attempt) FROM region_runs") == 1
    both = query(conn, "SELECT region, count(DISTINCT worker) AS workers FROM region_runs GROUP BY region")
    assert {row["region"]: row["workers"] for row in both} == {"US": 2, "EU": 2, "ASIA": 2}
    assert verify(local) == []
