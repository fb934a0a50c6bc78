"""The row of an execution, and what its receipt signs."""

import hashlib
import json
from typing import Any

import pytest

from runner_core.receipts import mismatches
from runner_core.signing import canonical, verify_jcs
from runner_worker.providers import CallFailed
from tests.receipts import SENT, SERVED, details, ended, reply, stored_row, take, unit_of

FAILED = CallFailed({"code": "http_503", "message": "away", "request_id": "req_9"}, "away", 1, [], sent=SENT)


def test_who_answered_is_listed_once_and_sorted() -> None:
    unit = unit_of(("q1", "q2", "q3"))
    take(unit, reply(), reply(served=SERVED | {"request_id": "req_2"}), reply(served={"model": "gpt-4"}))
    row = ended(unit)
    assert json.loads(row.served or "") == [
        {"model": "gpt-4"},
        {"model": "gpt-5-2025-08-07", "fingerprint": "fp_1", "geography": "eu"},
    ]
    assert row.answered_ms == 300


def test_a_receipt_of_version_2_signs_who_answered_and_what_was_sent() -> None:
    unit = unit_of()
    take(unit, reply(), FAILED)
    row = ended(unit)
    receipt = json.loads(row.receipt or "")
    verify_jcs(receipt)
    assert receipt["version"] == 2
    assert receipt["served"] == [{"model": "gpt-5-2025-08-07", "fingerprint": "fp_1", "geography": "eu"}]
    sent = [{"question_id": q, "run_no": 1, "sent": SENT} for q in ("q1", "q2")]
    assert receipt["parameters_sha256"] == hashlib.sha256(canonical(sent)).hexdigest()
    assert receipt["output_sha256"] == hashlib.sha256(canonical(json.loads(row.output or ""))).hexdigest()
    assert receipt["answered_ms"] == 300
    assert "regions_sha256" in receipt


def test_a_unit_without_any_request_has_a_receipt_of_nothing_sent() -> None:
    unit = unit_of(("q1",))
    take(unit, CallFailed({"code": "timeout", "message": "late"}, "late", 0, []))
    row = ended(unit)
    receipt = json.loads(row.receipt or "")
    assert (receipt["served"], receipt["status"]) == ([], "failed")
    assert receipt["parameters_sha256"] == hashlib.sha256(b"[]").hexdigest()


def test_answers_of_an_earlier_attempt_keep_who_gave_them() -> None:
    before = unit_of(("q1", "q2", "q3"))
    first, second, _ = take(before, reply(), FAILED, reply())
    rows = [{"model_id": "m1", **stored_row(one)} for one in (first, second)]
    for row in rows:
        row["error"] = row.pop("error_detail")
    after = unit_of(("q1", "q2", "q3"), rows)
    take(after, reply())
    one, other = ended(before), ended(after)
    assert json.loads(one.output or "") == json.loads(other.output or "")
    signed = ("served", "parameters_sha256", "output_sha256", "answered_ms")
    receipts = [json.loads(row.receipt or "") for row in (one, other)]
    assert [receipts[0][name] for name in signed] == [receipts[1][name] for name in signed]


def test_an_answer_of_an_earlier_release_names_nobody() -> None:
    output = {"response": "4", "refused": False, "simulated": False}
    row = {"model_id": "m1", "question_id": "q1", "run_no": 1, "status": "ok", "output": output, "error": None}
    unit = unit_of(("q1",), [row | {"provider_id": "p", "served": None, "sent": None, "answered_ms": None}])
    shown = ended(unit)
    (answer,) = json.loads(shown.output or "")["answers"]
    assert answer["served"] is None
    receipt = json.loads(shown.receipt or "")
    assert (receipt["served"], receipt["answered_ms"]) == ([], None)
    nothing = [{"question_id": "q1", "run_no": 1, "sent": None}]
    assert receipt["parameters_sha256"] == hashlib.sha256(canonical(nothing)).hexdigest()


def rows_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [call | {"question_id": call["question_key"]} for call in document["answers"]]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda call: call["served"].update(model="gpt-4"), ["the list of who answered"]),
        (lambda call: call["served"].update(geography="us"), ["the list of who answered"]),
        (lambda call: call["served"].update(request_id="another"), ["the list of who answered"]),
        (lambda call: call["sent"].update(temperature=0.2), ["the list of the parameters as sent"]),
        (lambda call: call.update(sent=None), ["the list of the parameters as sent"]),
    ],
)
def test_a_changed_fact_of_a_call_breaks_the_receipt(change: Any, wrong: list[str]) -> None:
    unit = unit_of()
    document = details(unit, take(unit, reply(), FAILED))
    assert mismatches(document["receipt"], document["output"], rows_of(document)) == []
    change(document["answers"][0])
    assert mismatches(document["receipt"], document["output"], rows_of(document)) == wrong


@pytest.mark.parametrize(
    "change", [{"response": "Lyon."}, {"refusal_source": "pattern"}, {"filter": "input"}, {"thoughts": "Hm."}]
)
def test_a_changed_answer_breaks_the_receipt(change: dict[str, Any]) -> None:
    unit = unit_of(("q1",))
    document = details(unit, take(unit, reply()))
    document["output"]["answers"][0] |= change
    assert mismatches(document["receipt"], document["output"], rows_of(document)) == ["the output"]
