"""What is refused at submission: each with its code, without a row and without a word of its content."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.integration.api_client import Api, serving, stamp, unsigned
from tests.integration.submissions import CROSS, NOTHING, refused, stamp_in


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
