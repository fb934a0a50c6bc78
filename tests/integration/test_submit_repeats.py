"""A repeated request: the same answer again, a conflict, or a refusal; also at the same moment."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from werkzeug.test import TestResponse

from runner_core.keys import PrivateKey
from runner_core.session_kinds import SESSIONS, Session
from runner_core.signing import sign
from runner_core.telemetry import context
from tests.integration.api_client import Api, stamp, unsigned
from tests.integration.submissions import CROSS, NOTHING, refused
from tests.jobs import until


def test_a_repeat_gets_the_same_ids_and_touches_nothing(api: Api) -> None:
    spec = api.job()
    first = api.post(spec).get_json()
    before = api.counts()
    answer = api.post(spec)
    assert answer.status_code == 200
    assert answer.headers["Idempotency-Replayed"] == "true"
    body = answer.get_json()
    assert body == {**first, "idempotent": True}
    assert api.counts() == before


def test_a_repeat_is_good_whatever_its_age(make_api: Callable[..., Api]) -> None:
    old = make_api(FRESHNESS_ENFORCE="0")
    metadata = {"timestamp": "2025-10-12T16:58:35.095Z", "nonce": "n"}
    spec = old.job(metadata=metadata)
    assert old.post(spec).status_code == 202
    strict = make_api()
    strict.trust(old.key)
    assert strict.post(spec).status_code == 200
    refused(strict.post(strict.job(metadata=metadata)), 403, "trust_violation:unknown")
    strict.key = old.key
    refused(strict.post(strict.job(metadata=metadata)), 400, "timestamp_invalid")


@pytest.mark.parametrize("header", ["order-1", '"order-1"'])
def test_a_key_names_a_request(api: Api, header: str) -> None:
    spec = api.job(id=None)
    first = api.post(spec, Idempotency_Key="order-1")
    assert first.status_code == 202
    again = api.post(spec, Idempotency_Key=header)
    assert again.status_code == 200
    assert again.get_json()["id"] == first.get_json()["id"]
    before = api.counts()
    refused(api.post(api.job(), Idempotency_Key=header), 422, "idempotency_key_reuse")
    assert api.counts() == before


def test_keys_of_two_signers_do_not_meet(api: Api) -> None:
    other = PrivateKey.generate()
    api.trust(api.key, other)
    assert api.post(api.job(), Idempotency_Key="k").status_code == 202
    assert api.post(sign(unsigned(), other), Idempotency_Key="k").status_code == 202


def test_an_expired_key_may_name_another_request(api: Api) -> None:
    api.post(api.job(), Idempotency_Key="k")
    api.sql("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
    spec = api.job()
    assert api.post(spec, Idempotency_Key="k").status_code == 202
    assert api.sql("SELECT count(*) FROM idempotency_keys WHERE job_id = %s", spec["id"]) == [(1,)]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, '""', "é"])
def test_a_key_must_be_visible_ascii(api: Api, key: str) -> None:
    refused(api.post(api.job(), Idempotency_Key=key), 422, "validation_error")
    assert api.counts() == NOTHING


def test_a_refused_request_stores_no_key(api: Api) -> None:
    refused(api.post(api.job(constraints={"regions": ["MOON"]}), Idempotency_Key="k"), 422, "unknown_region")
    assert api.post(api.job(), Idempotency_Key="k").status_code == 202


def test_the_same_id_with_other_content_is_a_conflict(api: Api) -> None:
    job_id = api.submit()
    before = api.counts()
    refused(api.post(api.job(id=job_id)), 409, "job_conflict")
    refused(api.post({"jobspec": api.job(id=job_id), "min_regions": 2}, CROSS), 409, "job_conflict")
    assert api.counts() == before


def test_the_same_job_narrowed_differently_is_other_content(api: Api) -> None:
    spec = api.job()
    assert api.post(spec).status_code == 202
    refused(api.post({"jobspec": spec, "target_regions": ["US"]}, CROSS), 409, "job_conflict")


def test_two_with_one_key_at_once_make_one_job(api: Api) -> None:
    """A job without an id: only the key can tell."""
    spec = api.job(id=None)
    answers = at_once(
        8, lambda _: api.app.test_client().post("/api/v1/jobs", json=spec, headers={"Idempotency-Key": "one"})
    )
    assert sorted(a.status_code for a in answers) == [200] * 7 + [202]
    assert len({a.get_json()["id"] for a in answers}) == 1
    assert api.counts() == NOTHING | {"jobs": 1, "idempotency_keys": 1, "nonces": 1, "outbox": 2, "job_events": 1}


def test_two_with_one_id_at_once_make_one_job(api: Api) -> None:
    for _ in range(10):
        spec = api.job()
        answers = at_once(2, lambda _, spec=spec: api.app.test_client().post("/api/v1/jobs", json=spec))
        assert sorted(a.status_code for a in answers) == [200, 202]
        assert len({a.get_json()["cross_region_execution_id"] for a in answers}) == 1
    assert api.counts()["jobs"] == 10


def test_a_first_request_that_takes_too_long_is_in_flight(api: Api, conn: "psycopg.Connection[Any]") -> None:
    spec = api.job()
    with conn.transaction():
        conn.execute(
            "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
            " provider_timeout_seconds, queued_until, digest, spec, spec_raw)"
            " VALUES (%s, '{\"US\": []}', '[]', 1, 1, 1, 1, now(), '', '{}', '')",
            (spec["id"],),
        )
        answer = api.post(spec)
        refused(answer, 409, "request_in_flight")
        assert answer.headers["Retry-After"]
        raise psycopg.Rollback
    assert api.post(spec).status_code == 202


def test_a_nonce_counts_once(api: Api) -> None:
    metadata = {"timestamp": stamp(), "nonce": "only-once"}
    job_id = api.submit(metadata=metadata)
    before = api.counts()
    assert job_id in refused(api.post(api.job(metadata=metadata)), 409, "replay_detected")
    assert api.counts() == before
    other = PrivateKey.generate()
    api.trust(api.key, other)
    assert api.post(sign(unsigned(metadata=metadata), other)).status_code == 202


def test_nobody_else_can_burn_a_nonce(api: Api) -> None:
    spec = api.job()
    refused(api.post(spec | {"id": "mine-now"}), 400, "signature_mismatch")
    assert api.post(spec).status_code == 202


def at_once(count: int, request: Callable[[int], TestResponse]) -> list[TestResponse]:
    """Send `count` requests that start at the same moment."""
    barrier = threading.Barrier(count)

    def send(number: int) -> TestResponse:
        barrier.wait(10)
        return request(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(send, range(count)))


def test_submissions_that_share_a_commit_are_each_accepted_or_refused(
    make_api: Callable[..., Api], conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one waits for a lock; meanwhile five others come, of which one repeats a job and one imitates it."""
    monkeypatch.setitem(SESSIONS, "api", Session())
    api = make_api(DB_AUDIT="1")
    known = api.job()
    assert api.post(known).status_code == 202
    imitation = api.job(id=known["id"], questions=["q2"])
    fresh = [api.job() for _ in range(3)]
    told: list[tuple[str, object]] = []
    monkeypatch.setattr(
        logging.getLogger("db.audit"), "info", lambda line, *args, **_: told.append((line % args, context.get()))
    )
    first = api.job()
    answers = in_one_group(api, conn, first, *((spec, {}) for spec in [fresh[0], known, fresh[1], imitation, fresh[2]]))
    assert [answer.status_code for answer in answers] == [202, 202, 200, 202, 409, 202]
    assert api.counts()["jobs"] == 5
    ids = [spec["id"] for spec in (first, *fresh)]
    assert {row[0] for row in api.sql("SELECT job_id FROM outbox WHERE job_id = ANY (%s)", ids)} == set(ids)
    shared = [of for line, of in told if "jobs.submit job_ids=4 " in line]
    assert shared == [None], "the statement of five requests carries no request's ids"
    assert all(of for line, of in told if "jobs.submit job_id=" in line)


def test_a_repeated_key_does_not_break_the_group_that_it_is_in(
    make_api: Callable[..., Api], conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three that are new share a commit all the same."""
    monkeypatch.setitem(SESSIONS, "api", Session())
    api = make_api(DB_AUDIT="1")
    assert api.post(api.job(), Idempotency_Key="used").status_code == 202
    told: list[str] = []
    monkeypatch.setattr(logging.getLogger("db.audit"), "info", lambda line, *args, **_: told.append(line % args))
    posts = [(api.job(), {"Idempotency_Key": key}) for key in ("one", "used", "two", "three")]
    answers = in_one_group(api, conn, api.job(), *posts)
    assert [answer.status_code for answer in answers] == [202, 202, 422, 202, 202]
    assert [line.split()[2] for line in told if "jobs.submit job_ids=" in line] == ["job_ids=4", "job_ids=3"]


def test_a_job_that_waits_for_no_row_is_not_told_that_it_is_being_accepted(
    api: Api, conn: psycopg.Connection[Any]
) -> None:
    """Another process's commit that takes too long is one such wait; a lock on the whole table is another."""
    spec = api.job()
    with conn.transaction(force_rollback=True):
        conn.execute("LOCK TABLE nonces IN ACCESS EXCLUSIVE MODE")
        answer = api.post(spec)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert api.post(spec).status_code == 202


BLOCKED = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"


def in_one_group(
    api: Api, conn: psycopg.Connection[Any], first: dict[str, Any], *posts: tuple[dict[str, Any], dict[str, str]]
) -> list[Any]:
    """The answers to all, where `first` waited for a lock and the others came meanwhile, in this order."""
    submissions = api.app.extensions["beacon"].submissions
    with ThreadPoolExecutor(6) as pool:
        with conn.transaction(force_rollback=True):
            conn.execute("INSERT INTO nonces SELECT %s, %s, id FROM jobs", (api.key.public_key, nonce(first)))
            futures = [pool.submit(api.post, first)]
            until(lambda: api.sql(BLOCKED))
            for number, (spec, headers) in enumerate(posts, 1):
                futures.append(pool.submit(api.post, spec, **headers))
                until(lambda number=number: submissions.queued == number)  # type: ignore[misc]
        return [future.result(20) for future in futures]


def nonce(spec: dict[str, Any]) -> str:
    made: str = spec["metadata"]["nonce"]
    return made
