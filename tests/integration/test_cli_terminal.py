"""What the commands print on terminals of 80 and of 40 columns, and into a pipe: nothing that is needed is cut."""

import copy
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from runner_core.job_ids import short
from tests.answering import ANSWERS, JOB, ROW, Service

IDS = [f"job-{uuid.UUID(int=number)}" for number in (2**100, 2**101)]
MODELS = ["smollm2-135m", "sandbox-refuser"]
REASONS = [{"subject": "http_401", "text": "3 calls failed.", "remedy": "Set P_KEY to a valid key."}]
QUESTIONS = ["geography_basic", "Which invention changed the lives of most people, and why do you think so?"]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
Run = Callable[..., str]


def rows(*questions: str, **more: Any) -> list[dict[str, Any]]:
    """A completed, simulated call for each region, model and question."""
    output = {"response": "It is what it is, and that in many words indeed.", "simulated": True}
    return [
        ROW | {"region": region, "model_id": model, "question_id": question, "output": output, "duration_ms": 0} | more
        for region in ("ASIA", "EU", "US")
        for model in MODELS
        for question in questions
    ]


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    found.answers = copy.deepcopy(ANSWERS) | {"/analysis": {"state": "off", "text": "The job has one region."}}
    yield found
    found.server.shutdown()


@pytest.fixture
def run(service: Service, tmp_path: Path) -> Run:
    """Runs a command on a terminal so many columns wide, or into a pipe; returns what is seen there."""

    def run(*arguments: str, columns: int | None = 80, lines: int = 24, **more: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BEACON_", "LC_", "LANG"))}
        env = kept | {"BEACON_URL": service.url, "BEACON_HOME": str(tmp_path), "TERM": "xterm", "LANG": "C.UTF-8"}
        env["PAGER"] = ""
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            env.pop(name, None)
        command = [sys.executable, "-m", "runner_cli", *arguments]
        if columns is None:
            done = subprocess.run(command, env=env | more, capture_output=True, text=True, check=False, timeout=60)
            assert "Traceback" not in done.stderr
            return done.stdout
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        with subprocess.Popen(command, env=env | more, stdin=child, stdout=child, stderr=subprocess.PIPE) as process:
            os.close(child)
            screen = b""
            try:
                while part := os.read(parent, 65536):
                    screen += part
            except OSError:  # EIO: the other end is closed
                pass
            assert process.stderr is not None
            assert b"Traceback" not in process.stderr.read()
        os.close(parent)
        encoding = more.get("PYTHONIOENCODING", "utf-8")
        return ESCAPES.sub("", screen.decode(encoding)).replace("\r\n", "\n")

    return run


def fits(screen: str, columns: int) -> bool:
    """Whether no line is longer than the terminal is wide."""
    return all(cell_len(line) <= columns for line in screen.splitlines())


def listed(**more: Any) -> dict[str, Any]:
    page = [
        {"id": name, "status": "completed", "created_at": JOB["created_at"], "regions": ["EU", "US", "ASIA"]}
        for name in IDS
    ]
    return {"jobs": [job | {"models": MODELS} | more for job in page]}


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_list_of_jobs_shortens_only_ids_that_the_api_made(columns: int, run: Run, service: Service) -> None:
    service.answers["/jobs"] = listed(cross_region_status="partial")
    screen = run("jobs", columns=columns)
    assert fits(screen, columns)
    assert "…" not in screen
    assert all(short(name) in screen for name in IDS)
    assert screen.count("partial") == 2
    assert screen.count("US EU ASIA") == 2, "in the order of the pages"
    assert screen.replace("\n", " ").count("sandbox-refuser") == 2


def test_a_status_is_the_shown_one(run: Run, service: Service) -> None:
    service.answers["/jobs"] = listed(cross_region_status="completed")
    run("jobs", "--status", "completed", columns=None)
    assert "state=completed" in service.paths[-1]
    assert "status=" not in service.paths[-1]


def test_one_long_id_moves_its_own_line_only(run: Run, service: Service) -> None:
    service.answers["/jobs"]["jobs"] = [
        job | {"id": name} for job, name in zip(listed()["jobs"], ["short", "x" * 255], strict=True)
    ]
    first, second = run("jobs", columns=None).splitlines()
    assert first.startswith("short ")
    assert first.index("completed") < 50
    assert second.startswith("x" * 255)
    for line in (first, second):
        assert line.endswith("completed  2026-01-01 00:00:00  -  US EU ASIA  smollm2-135m, sandbox-refuser")
    assert ("x" * 255) in run("jobs", columns=40).replace("\n", ""), "folded, not cut"


@pytest.mark.parametrize("columns", [40, 80])
def test_a_small_job_fits(columns: int, run: Run, service: Service) -> None:
    service.answers["/jobs/j"] = JOB | {
        "executions": rows(*QUESTIONS),
        "job": {"questions": QUESTIONS, "models": MODELS},
    }
    screen = run("show", "j", columns=columns)
    assert fits(screen, columns)
    assert screen.count("✓ 0\xa0ms sim") == 12
    assert all(model in screen for model in MODELS), "whole"
    assert "✓\xa0completed 0\xa0ms [simulated]" in run("show", "j", columns=None)
    assert QUESTIONS[1] in run("show", "j", columns=None)


def test_a_big_job_is_told_in_counts(run: Run, service: Service) -> None:
    questions = [f"question-{number}" for number in range(200)]
    found = rows(*questions)
    for row in found[:15]:
        row |= {"status": "failed", "output": None, "error": "no", "error_detail": {"code": "http_401"}}
    service.answers["/jobs/j"] = JOB | {"executions": found}
    for command in (["show", "j"], ["watch", "j"]):
        screen = run(*command)
        assert fits(screen, 80)
        assert len(screen.splitlines()) < 40
        assert "✓\xa0185" in screen
        assert "✗\xa015" in screen
        assert "http_401" in screen
        assert "1200 calls; `beacon show --all`" in screen
        assert "`--failed`" in screen
    assert len(run("show", "j", "--all").splitlines()) > 400


@pytest.mark.parametrize("columns", [40, 80])
def test_what_failed_is_told_by_cause(columns: int, run: Run, service: Service) -> None:
    found = rows(*QUESTIONS)
    for number, row in enumerate(found[:5]):
        code = "http_401" if number < 3 else "http_503"
        message = f"Provider p-{number}: HTTP status {code[5:]}, and it said that it would not go on. (HTTP {code[5:]})"
        detail = {"code": code, "message": message, "provider": f"p-{number}"}
        row |= {"status": "failed", "output": None, "error": "no", "error_detail": detail, "retry_count": number}
    told = {"executions": found, "job": {"questions": QUESTIONS, "models": MODELS}, "waiting": REASONS}
    service.answers["/jobs/j"] = JOB | told
    screen = run("show", "j", "--failed", columns=columns)
    assert fits(screen, columns)
    # Three providers say the same of http_401 and two of http_503: two causes, in the words of the job's page.
    assert screen.index("http_401: 3 calls of") < screen.index("Set P_KEY") < screen.index("http_503: 2 calls of")
    assert screen.count("\n- ") == 5
    assert "Provider p-" not in screen
    assert "5 tries" in screen
    piped = run("show", "j", "--failed", columns=None)
    assert f"- ASIA, {MODELS[0]}, {QUESTIONS[1]}" in piped
    assert len(json.loads(run("show", "j", "--failed", "--json", columns=None))["executions"]) == 5


def test_nothing_failed(run: Run, service: Service) -> None:
    service.answers["/jobs/j"] = JOB | {"executions": rows("q")}
    assert run("show", "j", "--failed", columns=None) == "j  partial  1/1 units, 1/1 answers\n\n"


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_a_comparison_is_aligned_and_whole(columns: int, run: Run, service: Service) -> None:
    chinese = "首都是利马，它是秘鲁最大的城市，位于太平洋沿岸。" * 3
    found = rows("q")
    for row in found:
        row["output"] = {"response": chinese if row["region"] == "EU" else "Lima. " * 20}
    service.answers["/jobs/j"] = JOB | {"executions": found}
    screen = run("compare", "j", columns=columns)
    assert fits(screen, columns)
    bars = {tuple(cell_len(line[: at.start()]) for at in re.finditer(r"\|", line)) for line in screen.splitlines()}
    assert len(bars - {()}) == (0 if columns < 78 else 1), "the columns' borders stand below each other"
    assert chinese[:10] in screen


def test_a_comparison_can_be_narrowed_and_is_folded(run: Run, service: Service) -> None:
    found = rows("same", "other")
    long = " ".join(f"word{number}" for number in range(300))
    for row in found:
        if row["question_id"] == "other":
            row["output"] = {"response": f"{row['region']} {long}"}
    service.answers["/jobs/j"] = JOB | {"executions": found}
    screen = run("compare", "j", "--different")
    assert "other\n" in screen
    assert "same\n" not in screen
    assert "more lines: --full" in screen
    assert "word299" not in screen
    assert "word299" in run("compare", "j", "--full")
    assert "word299" in run("compare", "j", columns=None), "nothing is folded in a pipe"
    assert "word299" not in run("compare", "j", "--question", "same", "--full")
    assert run("compare", "j", "--question", "none") == ""
    assert "PAGED" in run("compare", "j", "--full", PAGER="sh -c 'echo PAGED'")


@pytest.mark.parametrize("columns", [40, 80])
def test_an_explanation_has_a_line_for_each_cause(columns: int, run: Run, service: Service) -> None:
    waiting = [
        {"subject": f"http_{code}", "text": f"m in US, m in EU: The provider refused request {code}", "remedy": ""}
        for code in range(400, 406)
    ]
    service.answers["/jobs/j"] = JOB | {"waiting": waiting}
    screen = run("explain", "j", columns=columns)
    assert fits(screen, columns)
    assert all(f"\nhttp_{code}: m in US" in screen for code in range(400, 406))
    words = set(run("explain", "j", columns=None).split())
    assert set(screen.split()) <= words, "broken between words"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding(encoding: str, run: Run, service: Service) -> None:
    """What it lacks becomes a plainer sign."""
    mark = "✓" if encoding == "utf-8" else "+"
    for command in (["show", "j", "--answers"], ["jobs"], ["explain", "j"], ["compare", "j"], ["watch", "j"]):
        screen = run(*command, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert screen
        assert (f"{mark} completed" in screen.replace("\xa0", " ")) == (command[0] in ("show", "watch"))
