"""`beacon analyse`, `label` and `compare` against an API that answers what a test tells it to."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_cli.commands import main
from runner_cli.exits import Exit
from tests.analysed_job import analysed, exported
from tests.answering import JOB, ROW, Service

PENDING = {"job_id": "j", "state": "pending", "text": "The comparison is being computed.", "previous": None}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serves a job with its export and its comparison."""
    found = Service()
    export = exported()
    found.answers = {
        "/jobs/j": JOB | {"executions": [ROW | {"question_id": "q1"}]},
        "/analysis": analysed(export),
        "/compare.json": export,
        "/compare.csv": b"\xef\xbb\xbfjob_id\r\nj\r\n",
        "/analysis.csv": b"\xef\xbb\xbflevel\r\nmodel\r\n",
        "/jobs/j/labels": {"labels": [], "next_after": None},
    }
    found.answers |= {f"/answers/{number}/labels": added(number) for number in range(1, 9)}
    for name in ("BEACON_KEY", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BEACON_URL", found.url)
    monkeypatch.setenv("BEACON_TOKEN", "t" * 32)
    monkeypatch.setenv("BEACON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield found
    found.server.shutdown()


def added(answer_id: int, actor: str = "ann") -> dict[str, Any]:
    return {"id": answer_id, "answer_id": answer_id, "category": "answer", "source": "human", "actor": actor}


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def posted(service: Service) -> list[Any]:
    return [json.loads(body) for body in service.bodies if body]


def test_the_comparison_is_printed_with_its_caution_first(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", "j"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Caution: The regions were asked with different system prompts")
    assert service.answers["/analysis"]["headline"]["text"] in told
    assert main(["analyse", "j", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == service.answers["/analysis"]


def test_no_comparison_is_no_success(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers["/analysis"] = PENDING
    assert main(["analyse", "j"]) == Exit.FAILED
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "beacon analyse: The comparison is being computed.\n")
    assert main(["analyse", "j", "--json"]) == Exit.FAILED
    assert json.loads(capsys.readouterr().out) == PENDING


def test_waiting_has_an_end(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", "j", "--wait"]) == 0
    service.answers["/analysis"] = PENDING
    assert main(["analyse", "j", "--wait", "--timeout", "0.1"]) == Exit.TIMED_OUT
    assert "is not compared within 0 s: The comparison is being computed." in capsys.readouterr().err


def test_everything_is_computed_again(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", "j", "--check"]) == 0
    assert capsys.readouterr().err == "Computed again here from the job's export: everything is equal.\n"
    service.answers["/analysis"]["models"][0]["wording"]["p"] = 0.0123
    assert main(["analyse", "j", "--check"]) == Exit.FAILED
    told = capsys.readouterr().err
    assert told.startswith("Computed again here, 1 places are different:\n  models[0].wording.p: 0.0123 in the")


def test_a_job_that_changes_meanwhile_is_not_checked(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers["/compare.json"]["label_id"] = 7
    assert main(["analyse", "j", "--check"]) == Exit.FAILED
    assert "changes while it is read" in capsys.readouterr().err


def test_a_stranger_computes_from_the_exported_files(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """By the line that the command prints, with nothing but Python."""
    assert main(["analyse", "j", "--export", "files/j"]) == 0
    told = capsys.readouterr().err.splitlines()
    names = "compare.json, analysis.json, compare.csv, analysis.csv, comparison.md, recompute.py"
    assert told[0] == f"files/j holds {names}."
    for name in ("compare.csv", "analysis.csv"):
        assert Path("files/j", name).read_bytes() == service.answers[f"/{name}"]
    command = told[1].removeprefix("Compute it again with: python ").split()
    run = [sys.executable, "-I", "-S", *command]
    done = subprocess.run(run, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_comparison_its_table_is_not_exported(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers["/analysis"] = PENDING
    del service.answers["/analysis.csv"]
    assert main(["analyse", "j", "--export", "files"]) == Exit.FAILED
    assert capsys.readouterr().err.startswith("files holds compare.json, analysis.json, compare.csv, comparison.md,")


def test_a_table_that_is_none_is_not_exported(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers["/compare.csv"] = {"not": "a table"}
    assert main(["analyse", "j", "--export", "files"]) == Exit.UNREACHABLE
    assert "not text/csv" in capsys.readouterr().err
    assert not Path("files").exists()


def test_a_job_whose_comparison_goes_away_meanwhile_is_not_exported(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    del service.answers["/analysis.csv"]
    service.fallback = (404, json.dumps({"error_code": "not_found", "detail": "It is computed again."}).encode())
    assert main(["analyse", "j", "--export", "files"]) == Exit.FAILED
    assert "changes while it is read" in capsys.readouterr().err


def test_answers_stand_under_the_headline_with_their_verdicts(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "j"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Caution: ")
    assert service.answers["/analysis"]["headline"]["text"] in told
    assert "m: cannot tell\n" in told
    assert main(["compare", "j", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["analysis"]["headline"] == service.answers["/analysis"]["headline"]
    assert shown["questions"][0]["verdicts"] == {"m": "cannot_tell"}


def test_answers_of_an_api_without_comparisons_are_shown_all_the_same(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    del service.answers["/analysis"]
    service.fallback = (404, json.dumps({"error_code": "not_found", "detail": "no such page"}).encode())
    assert main(["compare", "j"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("This API does not compare regions: it is of an earlier release.")
    assert "\nm\n" in told


def test_answers_are_labelled_blind(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "x", "a", "s", "b", "h declines politely", "q")
    assert main(["label", "j", "--sample", "5"]) == 0
    told = capsys.readouterr().out
    assert posted(service) == [
        {"category": "answer", "note": ""},
        {"category": "hard_refusal", "note": "declines politely"},
    ]
    assert "0 of 5 answers of the sample have a label." in told
    assert "Type one of the letters" in told
    assert "Labelled 2 answers; 3 of the sample are left.\npeople and detector: not measured here (n = 0" in told
    asked = told.partition("--- 1 of 5")[2].partition("Labelled")[0]
    assert "Question: q" in asked
    assert not [word for word in ("EU", "US", "run ", "rules") if word in asked]


def test_the_end_of_the_input_ends_the_labelling(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "d")
    assert main(["label", "j", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"job_id": "j", "labelled": 1, "left": 7, "kappa": [shown["kappa"][0]]}


def test_a_token_of_somebody_else_is_noticed(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "a", "a")
    assert main(["label", "j", "--me", "bob"]) == Exit.USAGE
    assert "this token is ann's" in capsys.readouterr().err
    assert len(posted(service)) == 1


def test_labels_need_a_token(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BEACON_TOKEN")
    assert main(["label", "j"]) == Exit.USAGE
    assert "set BEACON_TOKEN" in capsys.readouterr().err
    assert service.seen == []
