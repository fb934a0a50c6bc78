"""`beacon receipt` of both versions: what it proves, what it refuses, and what it prints of the calls."""

import json
from pathlib import Path
from typing import Any

import pytest

from runner_worker.providers import CallFailed
from tests.command_line import usage
from tests.receipts import KEY, SENT, details, reply, take, unit_of

EARLIER = {"code": "http_503", "message": "away", "request_id": "req_0"}
FAILED = CallFailed(
    {"code": "wrong_region", "message": "no", "served": {"model": "gpt-5", "geography": "us"}, "request_id": "req_2"},
    "no",
    1,
    [EARLIER],
    sent=SENT,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(document: dict[str, Any], *more: str, key: str = KEY.public_key) -> int:
    Path("execution.json").write_text(json.dumps(document), "utf-8")
    return usage("receipt", "execution.json", "--trust", key, *more)


def versioned() -> dict[str, Any]:
    unit = unit_of()
    return details(unit, take(unit, reply(errors=[EARLIER], answer={"thoughts": "Hm."}), FAILED))


def test_a_receipt_of_version_1_verifies_and_says_that_it_names_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stored = json.loads((Path(__file__).parents[1] / "data" / "receipt_v1.json").read_text("utf-8"))
    assert checked(stored["details"], key=stored["public_key"]) == 0
    shown = capsys.readouterr().out
    assert "The receipt is genuine: signed by the given key, and the output matches it." in shown
    assert "It is of version 1, of an earlier release: it does not name who answered." in shown
    assert checked(stored["details"], "--json", key=stored["public_key"]) == 0
    assert json.loads(capsys.readouterr().out)["names_who_answered"] is False


def test_a_receipt_of_version_2_names_who_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(versioned()) == 0
    shown = capsys.readouterr().out
    assert "and the output matches it. Who answered and the parameters as sent match it, too." in shown
    assert "served            model gpt-5-2025-08-07, fingerprint fp_1, geography eu" in shown
    assert "request id req_1" in shown
    assert '"seed": 7' in shown
    assert "failed try http_503, request id req_0" in shown
    assert "failed try wrong_region, request id req_2, served by model gpt-5, geography us" in shown
    assert checked(versioned()["receipt"]) == 0, "the receipt alone"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda d: d["answers"][0]["served"].update(model="x"), "the list of who answered beside it does not match"),
        (lambda d: d["answers"][0]["served"].update(geography="x"), "the list of who answered beside it does not"),
        (lambda d: d["answers"][0]["sent"].update(seed=8), "the list of the parameters as sent beside it does not"),
        (lambda d: d["output"]["answers"][0].update(thoughts="No."), "the output beside it does not match"),
        (lambda d: d["receipt"]["served"][0].update(model="x"), "signature_mismatch"),
        (lambda d: d["receipt"].update(parameters_sha256="0" * 64), "signature_mismatch"),
        (lambda d: d["receipt"].pop("version"), "signature_mismatch"),
        (lambda d: d["answers"][0].update(question_key={"a": 1}), "no execution's details"),
    ],
)
def test_a_changed_fact_breaks_it(change: Any, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = versioned()
    change(document)
    assert checked(document) == 1
    assert wrong in capsys.readouterr().err


def test_answers_of_an_earlier_release_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    output = {"response": "4", "refused": False, "simulated": False}
    row = {"model_id": "m1", "question_id": "q1", "run_no": 1, "status": "ok", "output": output, "error": None}
    unit = unit_of(("q1", "q2"), [row | {"provider_id": "p", "served": None, "sent": None, "answered_ms": None}])
    document = details(unit, take(unit, reply()))
    document["answers"].append({"question_key": "q1", "run_no": 1, "status": "ok", "served": None, "sent": None})
    assert checked(document) == 0
    assert "1 answer was stored by an earlier release: the receipt does not name who gave them." in (
        capsys.readouterr().out
    )
