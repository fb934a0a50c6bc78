"""Submitting: what is accepted once, what is answered again, what is refused and leaves nothing behind."""

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from werkzeug.test import TestResponse

from runner_core import db
from runner_core.keys import PrivateKey
from runner_core.signing import sign
from runner_core.telemetry import context
from tests.integration.api_client import Api, serving, stamp, unsigned
from tests.jobs import until

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "signature_vectors.json").read_text())
CROSS = "/api/v1/jobs/cross-region"
NOTHING = dict.fromkeys(
    ("jobs", "idempotency_keys", "nonces", "outbox", "job_events", "region_runs", "executions", "answers"), 0
)


def refused(answer: TestResponse, status: int, code: str) -> str:
    """Check a problem; returns its detail."""
    body = answer.get_json()
    assert (answer.status_code, body["error_code"]) == (status, code), body
    assert answer.content_type == "application/problem+json"
    assert body["status"] == status
    assert body["error"] == body["detail"]
    assert {"type", "title", "instance"} <= set(body)
    assert answer.headers["X-Request-ID"]
    detail: str = body["detail"]
    return detail


# -- accepted


def test_a_job_becomes_its_rows_in_one_transaction(api: Api) -> None:
    spec = api.job()
    answer = api.post(spec, X_Request_ID="request-1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert answer.status_code == 202
    body = answer.get_json()
    assert body["id"] == body["job_id"] == spec["id"]
    assert body["status"] == "queued"
    assert answer.headers["Location"] == body["links"]["self"] == f"/api/v1/jobs/{spec['id']}"
    assert answer.headers["X-Request-ID"] == "request-1"
    assert api.counts() == NOTHING | {"jobs": 1, "idempotency_keys": 1, "nonces": 1, "outbox": 2, "job_events": 1}
    [row] = api.sql(
        "SELECT j.status, j.spec_raw, j.plan, j.request_id, j.traceparent, j.cross_region_execution_id::text,"
        " j.signature_form, k.key, e.type, e.actor FROM jobs j JOIN idempotency_keys k ON k.job_id = j.id"
        " JOIN job_events e ON e.job_id = j.id"
    )
    assert row[0] == "queued"
    assert bytes(row[1]) == json.dumps(spec).encode()
    assert row[2:] == (
        {"US": ["m1"], "EU": ["m1"]},
        "request-1",
        f"00-{'a' * 32}-{'b' * 16}-01",
        body["cross_region_execution_id"],
        "jcs",
        f"job:{spec['id']}",
        "submitted",
        "k0",
    )
    outbox = api.sql("SELECT topic, payload FROM outbox ORDER BY topic")
    assert [topic for topic, _ in outbox] == ["beacon-eu", "beacon-us"]
    for _, payload in outbox:
        enqueued = payload.pop("enqueued_at")
        assert payload == {"id": spec["id"], "attempt": 0, "request_id": "request-1"}
        assert datetime.now(UTC) - datetime.fromisoformat(enqueued) < timedelta(minutes=1)


def test_a_job_without_an_id_gets_one(api: Api) -> None:
    answer = api.post(api.job(id=None))
    assert answer.status_code == 202
    assert answer.get_json()["id"].startswith("job-")


def test_the_cross_region_wrapper_narrows(api: Api) -> None:
    spec = api.job(constraints={"regions": ["US", "EU", "APAC"]})
    answer = api.post(
        {"jobspec": spec, "target_regions": ["europe_west", "US"], "min_regions": 2, "enable_analysis": True}, CROSS
    )
    body = answer.get_json()
    assert answer.status_code == 202
    assert body["id"] == body["job_id"] == body["jobspec_id"] == spec["id"]
    assert (body["total_regions"], body["min_regions"], body["status"]) == (2, 2, "queued")
    assert body["enable_analysis"] is True
    assert body["submitted_at"].endswith("Z")
    assert api.sql("SELECT plan, min_regions, enable_analysis, spec_raw FROM jobs")[0][:3] == (
        {"US": ["m1"], "EU": ["m1"]},
        2,
        True,
    )
    assert json.loads(api.sql("SELECT spec_raw FROM jobs")[0][0]) == spec


@pytest.mark.parametrize("form", ["A", "B", "C", "D"])
def test_the_incidents_job_in_every_form(make_api: Callable[..., Api], form: str) -> None:
    api = make_api(FRESHNESS_ENFORCE="0")
    api.keys_file.write_text(json.dumps([{"kid": "portal", "public_key": VECTORS["public_key"], "status": "active"}]))
    spec = VECTORS["spec"] | {"public_key": VECTORS["public_key"], "signature": VECTORS["forms"][form]["signature"]}
    first = api.post(spec)
    assert (first.status_code, first.get_json()["id"]) == (202, "bias-detection-1760288315095")
    again = api.post({"jobspec": spec, "target_regions": ["US", "EU"]}, CROSS)
    assert again.status_code == 200
    assert again.get_json()["cross_region_execution_id"] == first.get_json()["cross_region_execution_id"]
    assert api.sql("SELECT signature_form, plan FROM jobs") == [
        ("jcs" if form == "A" else form, {"US": ["llama3.2-1b"], "EU": ["llama3.2-1b"]})
    ]


def test_unsigned_jobs_only_where_that_is_allowed(make_api: Callable[..., Api]) -> None:
    api = make_api()
    refused(api.post(unsigned()), 400, "missing_field:signature")
    assert api.counts() == NOTHING
    open_api = make_api(ALLOW_UNSIGNED="1")
    assert open_api.post(unsigned()).status_code == 202
    refused(open_api.post(unsigned(public_key="x")), 400, "missing_field:signature")


def test_the_publisher_is_woken_after_the_commit(api: Api, conn: "psycopg.Connection[Any]") -> None:
    conn.execute("LISTEN beacon_outbox")
    job_id = api.submit()
    [notice] = conn.notifies(timeout=10, stop_after=1)
    assert notice.channel == "beacon_outbox"
    assert conn.execute("SELECT count(*) FROM outbox WHERE job_id = %s", (job_id,)).fetchone() == (2,)


# -- repeated


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


# -- refused: each has its code, its status, and leaves no row behind


@pytest.fixture(scope="module")
def unused(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One API for all that must leave nothing behind: whoever does fails, and all after it."""
    with serving(shared_database_url, tmp_path_factory.mktemp("unused")) as api:
        yield api


def changed(spec: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return spec | fields


SHORT = base64.b64encode(b"x" * 31).decode()
MANY = [f"{n}?" for n in range(51)]
MODELS = ["m1", "m2", "llama3.2-1b"]
ONE: dict[str, Any] = {"regions": ["US"]}
BIAS = unsigned()["benchmark"] | {"name": "Bias"}
REFUSALS: list[tuple[str, Callable[[Api], Any], int, str]] = [
    ("wrong signature", lambda a: changed(a.job(), questions=["q1"]), 400, "signature_mismatch"),
    ("signature not base64", lambda a: changed(a.job(), signature="!"), 400, "invalid_encoding:signature"),
    ("a short key", lambda a: changed(a.job(), public_key=SHORT), 400, "invalid_encoding:public_key"),
    ("no signature", lambda a: changed(a.job(), signature=""), 400, "missing_field:signature"),
    ("unknown key", lambda a: sign(unsigned(), PrivateKey.generate()), 403, "trust_violation:unknown"),
    ("stale", lambda a: a.job(metadata={"timestamp": stamp_in(-601)}), 400, "timestamp_invalid"),
    ("from the future", lambda a: a.job(metadata={"timestamp": stamp_in(+330)}), 400, "timestamp_invalid"),
    ("without a time zone", lambda a: a.job(metadata={"timestamp": "2026-11-24T00:00:00"}), 400, "timestamp_invalid"),
    ("no timestamp", lambda a: a.job(metadata={}), 400, "missing_field:timestamp"),
    ("no id and no nonce", lambda a: a.job(id=None, metadata={"timestamp": stamp()}), 400, "missing_field:nonce"),
    ("unknown region", lambda a: a.job(constraints={"regions": ["US", "MOON"]}), 422, "unknown_region"),
    ("no provider there", lambda a: a.job(models=["m2"], constraints={"regions": ["ASIA"]}), 422, "no_provider"),
    ("no such model", lambda a: a.job(models=["m9"]), 422, "no_provider"),
    ("too many calls", lambda a: a.job(questions=MANY[:50], runs=10, models=MODELS), 422, "validation_error"),
    ("too many questions", lambda a: a.job(questions=MANY), 422, "validation_error"),
    ("an id with spaces", lambda a: a.job(id="a job"), 422, "validation_error"),
    ("an id of dots", lambda a: a.job(id=".."), 422, "validation_error"),
    ("an id that is an address", lambda a: a.job(id="cross-region"), 422, "validation_error"),
    ("an id too long", lambda a: a.job(id="x" * 256), 422, "validation_error"),
    ("too many required", lambda a: a.job(constraints=ONE | {"min_regions": 2}), 422, "validation_error"),
    ("a rate above 1", lambda a: a.job(constraints=ONE | {"min_success_rate": 1.01}), 422, "validation_error"),
    ("no regions", lambda a: a.job(constraints={"regions": []}), 400, "missing_field:regions"),
    ("no version", lambda a: a.job(version=None), 400, "missing_field:version"),
    ("bias without questions", lambda a: a.job(benchmark=BIAS, questions=None), 400, "missing_field:questions"),
    ("NaN", lambda a: b'{"runs": NaN}', 400, "malformed_json"),
    ("infinity", lambda a: b'{"runs": -Infinity}', 400, "malformed_json"),
    ("duplicate keys", lambda a: b'{"id": "a", "id": "b"}', 400, "duplicate_key"),
    ("duplicate keys deep down", lambda a: b'{"a": [{"id": "a", "id": "b"}]}', 400, "duplicate_key"),
    ("truncated", lambda a: json.dumps(a.job()).encode()[:-20], 400, "malformed_json"),
    ("empty", lambda a: b"", 400, "malformed_json"),
    ("not UTF-8", lambda a: b'{"id": "\xff"}', 400, "malformed_json"),
    ("a list", lambda a: b"[]", 422, "validation_error"),
    ("U+0000", lambda a: b'{"id": "\\u0000"}', 422, "validation_error"),
    ("a lone surrogate", lambda a: b'{"id": "\\ud800"}', 422, "validation_error"),
    ("an integer beyond 2^53", lambda a: b'{"runs": 9007199254740993}', 422, "validation_error"),
    ("too deep", lambda a: b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422, "validation_error"),
    ("2 MiB", lambda a: json.dumps({"id": "x" * (2 << 20)}).encode(), 413, "body_too_large"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "status", "code"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_what_is_refused_leaves_no_row(unused: Api, make: Callable[[Api], Any], status: int, code: str) -> None:
    refused(unused.post(make(unused)), status, code)
    assert unused.counts() == NOTHING


WRAPPERS: list[tuple[str, dict[str, Any], int, str]] = [
    ("wider regions", {"target_regions": ["US", "EU", "ASIA"]}, 422, "validation_error"),
    ("an unknown region", {"target_regions": ["MOON"]}, 422, "unknown_region"),
    ("no region", {"target_regions": []}, 422, "validation_error"),
    ("fewer regions required", {"min_regions": 1}, 422, "validation_error"),
    ("a lower rate", {"min_success_rate": 0.1}, 422, "validation_error"),
    ("more required than targeted", {"target_regions": ["US"], "min_regions": 2}, 422, "validation_error"),
    ("the wrong type", {"enable_analysis": "yes"}, 422, "validation_error"),
    ("no job", {"jobspec": None}, 400, "missing_field:jobspec"),
    ("a text for a job", {"jobspec": "job"}, 422, "validation_error"),
]


@pytest.mark.parametrize(("wrapper", "status", "code"), [w[1:] for w in WRAPPERS], ids=[w[0] for w in WRAPPERS])
def test_a_wrapper_never_widens(unused: Api, wrapper: dict[str, Any], status: int, code: str) -> None:
    spec = unused.job(constraints={"regions": ["US", "EU"], "min_regions": 2, "min_success_rate": 0.9})
    refused(unused.post({"jobspec": spec, **wrapper}, CROSS), status, code)
    assert unused.counts() == NOTHING


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


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "revoked"}, "revoked"),
        ({"not_after": "2026-01-01T00:00:00Z"}, "expired"),
        ({"not_before": "2126-01-01T00:00:00Z"}, "not_yet_valid"),
    ],
)
def test_a_key_that_is_no_longer_good(api: Api, fields: dict[str, str], reason: str) -> None:
    """The list is read again when it changes, while the API runs."""
    api.trust(api.key, **fields)
    refused(api.post(api.job()), 403, f"trust_violation:{reason}")
    assert api.counts() == NOTHING


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-16"]
)
def test_only_json_is_read(api: Api, kind: str) -> None:
    assert "JSON" in refused(api.post(api.job(), Content_Type=kind), 415, "unsupported_media_type")
    assert api.post(api.job(), Content_Type="application/json; charset=UTF-8").status_code == 202


def test_what_is_encoded_is_refused_by_that_name(api: Api) -> None:
    """The content type was right, and `identity` in whatever case is no encoding (RFC 9110, 8.4.1)."""
    for encoding in ("gzip", "br", "identity, gzip"):
        told = refused(api.post(api.job(), Content_Encoding=encoding), 415, "unsupported_media_type")
        assert "Content-Encoding" in told
        assert "Content-Type" not in told
    for encoding in ("identity", "Identity", "IDENTITY", ""):
        assert api.post(api.job(), Content_Encoding=encoding).status_code == 202
    told = refused(api.post(api.job(), Content_Type="application/json; charset=utf-16"), 415, "unsupported_media_type")
    assert "UTF-8" in told


def test_a_signature_that_does_not_match_says_what_must_be_signed(api: Api) -> None:
    job = api.job()
    told = refused(api.post(changed(job, questions=["q1"])), 400, "signature_mismatch")
    assert "RFC 8785" in told
    assert "without the members signature and public_key" in told


def test_nothing_of_a_refused_job_is_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    spec = api.job(questions=["a secret question"], constraints={"regions": ["MOON"]})
    with caplog.at_level("DEBUG"):
        answer = api.post(spec)
    refused(answer, 422, "unknown_region")
    assert "secret" not in caplog.text + answer.text
    assert spec["signature"] not in caplog.text
    assert spec["public_key"] not in caplog.text


def test_an_unexpected_error_tells_nothing(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "a secret" + " prompt"

    def broken(*_: object, **__: object) -> None:
        raise KeyError(prompt)

    monkeypatch.setattr("runner_api.http.accept.plan_job", broken)
    answer = api.post(api.job())
    refused(answer, 500, "internal_error")
    assert "submissions.py" in caplog.text
    assert "KeyError" in caplog.text
    assert prompt not in caplog.text + answer.text


def stamp_in(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


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
    monkeypatch.setitem(db.SESSIONS, "api", db.Session())
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
    monkeypatch.setitem(db.SESSIONS, "api", db.Session())
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
    waiting = api.app.extensions["beacon"].submissions._waiting
    with ThreadPoolExecutor(6) as pool:
        with conn.transaction(force_rollback=True):
            conn.execute("INSERT INTO nonces SELECT %s, %s, id FROM jobs", (api.key.public_key, nonce(first)))
            futures = [pool.submit(api.post, first)]
            until(lambda: api.sql(BLOCKED))
            for number, (spec, headers) in enumerate(posts, 1):
                futures.append(pool.submit(api.post, spec, **headers))
                until(lambda number=number: len(waiting) == number)  # type: ignore[misc]
        return [future.result(20) for future in futures]


def nonce(spec: dict[str, Any]) -> str:
    made: str = spec["metadata"]["nonce"]
    return made
