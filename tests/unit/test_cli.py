"""The `beacon` command without a stack: usage, exit codes, help, keys, signatures, files, what is shown."""

import argparse
import hashlib
import io
import json
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner_cli.canary_metrics import rates, urls_of
from runner_cli.child import free_port
from runner_cli.client import Target
from runner_cli.commands import COMMANDS, main
from runner_cli.comparison import side_by_side
from runner_cli.exits import MEANING, Exit, UsageError
from runner_cli.grid import badges
from runner_cli.snapshot import Snapshot
from runner_cli.story import Story
from runner_cli.terminal import clean
from runner_cli.watch import duration, line
from runner_core.keys import PrivateKey
from runner_core.receipts import output_sha256, sign_receipt
from runner_core.signing import verify
from runner_core.trust import TrustList

NAMES = [name for group in COMMANDS.values() for name in group]
JOB = {
    "version": "v1",
    "benchmark": {"name": "b", "container": {"image": "i"}, "input": {"hash": "sha256:placeholder"}},
    "constraints": {"regions": ["US"]},
}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack, key or token of this machine."""
    for name in ("BEACON_URL", "BEACON_KEY", "BEACON_TOKEN", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BEACON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(JOB))
    return path


def usage(*arguments: str) -> int:
    """The exit code, whether the parser or the command says it."""
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else -1


def beacon(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The command as a process."""
    return subprocess.run(
        [sys.executable, "-m", "runner_cli", *arguments], text=True, capture_output=True, check=False, **options
    )


# Usage.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "beacon: say what to do"),
        (["sumbit"], "did you mean `beacon submit`?"),
        (["xyzzy"], "there is no command 'xyzzy'"),
        (["show"], "beacon show: the following arguments are required: job"),
        (["jobs", "--status", "odd"], "invalid choice"),
        (["jobs", "--what"], "unrecognized arguments: --what"),
        (["watch", "job-1", "--timeout", "soon"], "'soon' is not a time: write 90s, 15m or 2h"),
        (["canary", "--max-error-rate", "2"], "'2' is not a rate"),
        (["show", ""], "the job's id is empty"),
        (["jobs", "--url", "localhost:8090"], "is not the URL of an API"),
        (["submit", "none.json"], "none.json can't be read: No such file or directory"),
        (["sign", "none.json"], "none.json can't be read"),
        (["submit", "job.json"], "no signing key: name one with --key or BEACON_KEY"),
        (["submit", "job.json", "--key", "none.pem"], "none.pem can't be read"),
        (["cancel", "job-1"], "set BEACON_TOKEN to an administrator's token, or name the job's own key with --key"),
        (["migrate"], "DATABASE_URL is not set"),
        (["verify"], "DATABASE_URL is not set"),
        (["receipt", "job.json"], "required: --trust"),
        (["receipt", "job.json", "--trust", "none.json"], "holds no receipt"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], said: str, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert usage(*arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "object"),
        ('{"a": NaN}', ""),
        ('{"a": 1, "a": 2}', ""),
    ],
)
def test_a_file_that_is_no_job(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.json").write_text(text)
    assert usage("submit", "odd.json") == 2
    shown = capsys.readouterr().err
    assert "odd.json is not a job: " in shown
    assert shown.count("\n") == 1


def test_help_lists_every_command_and_exit_code() -> None:
    began = time.monotonic()
    shown = beacon("--help")
    took = time.monotonic() - began
    assert shown.returncode == 0
    assert all(f"\n  {name} " in shown.stdout for name in NAMES)
    assert all(f"\n  {code.value} " in shown.stdout for code in Exit)
    assert set(MEANING) == set(Exit)
    assert took < 3  # it is 0.1 s; a busy machine is not what is measured
    loaded = beacon_modules("--help")
    assert not loaded & {"httpx2", "rich", "psycopg", "cryptography", "redis", "pydantic", "honcho"}


def beacon_modules(*arguments: str) -> set[str]:
    """The top-level modules that a command has loaded."""
    code = (
        f"import sys, runner_cli.commands as cli; cli.main({list(arguments)!r}); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage(name, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: beacon {name}")
    assert "examples:" in shown or name == "up"
    assert "--json" in shown or name in ("up", "test")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("--version") == 0
    assert capsys.readouterr().out.startswith("beacon 0.")


# Endings.


def test_nothing_answers(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert usage("jobs", "--url", f"http://127.0.0.1:{port}") == Exit.UNREACHABLE
    shown = capsys.readouterr().err
    assert shown == (
        f"beacon jobs: nothing answers at http://127.0.0.1:{port}: start the stack with `beacon up`, "
        "or say where the API is with BEACON_URL or --url\n"
    )


def test_something_else_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner_cli", "jobs", "--url", f"http://127.0.0.1:{server.getsockname()[1]}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        client, _ = server.accept()
        with client:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            assert "does not speak like a Beacon Runner" in process.communicate()[1]
    assert process.returncode == Exit.UNREACHABLE


def test_a_broken_pipe_is_silent() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "runner_cli", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == Exit.BROKEN_PIPE


def test_ctrl_c_is_130_and_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner_cli", "jobs", "--url", f"http://127.0.0.1:{server.getsockname()[1]}"],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        client, _ = server.accept()
        with client:
            client.recv(65536)  # now it waits for the answer
            process.send_signal(signal.SIGINT)
            assert process.communicate()[1] == b""
    assert process.returncode == Exit.INTERRUPTED


# Keys and signatures.


def test_keygen_sign_and_verify(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("keygen", "key.pem", "--kid", "alice", "--trust", "trust.json") == 0
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    entry = json.loads(capsys.readouterr().out)
    assert entry["kid"] == "alice"
    assert usage("sign", "job.json", "--key", "key.pem") == 0
    signed = json.loads(capsys.readouterr().out)
    assert verify(signed).form == "jcs"
    assert {name: signed[name] for name in JOB} == JOB
    assert signed["id"].startswith("job-")
    assert signed["metadata"]["nonce"]
    verify(signed).check_freshness(datetime.now(UTC))
    assert TrustList.load("trust.json").check(signed["public_key"], datetime.now(UTC)).kid == "alice"


def test_signing_again_keeps_the_id_and_renews_the_rest(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PrivateKey.generate().save("key.pem")
    usage("sign", "job.json", "--key", "key.pem")
    first = json.loads(capsys.readouterr().out)
    job.write_text(json.dumps(first))
    usage("sign", "job.json", "--key", "key.pem")
    second = json.loads(capsys.readouterr().out)
    assert first["id"] == second["id"]
    assert first["metadata"]["nonce"] != second["metadata"]["nonce"]
    assert verify(second).form == "jcs"


def test_a_job_from_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    PrivateKey.generate().save("key.pem")
    monkeypatch.setenv("BEACON_KEY", "key.pem")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(JOB).encode())))
    assert usage("sign") == 0
    assert verify(json.loads(capsys.readouterr().out)).form == "jcs"


def test_keygen_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("keygen", "key.pem", "--kid", "alice", "--trust", "trust.json") == 0
    before = (tmp_path / "key.pem").read_bytes()
    assert usage("keygen", "key.pem") == 2
    assert (tmp_path / "key.pem").read_bytes() == before
    # A kid that is there already: neither the list nor a key file changes.
    trust = (tmp_path / "trust.json").read_bytes()
    assert usage("keygen", "other.pem", "--kid", "alice", "--trust", "trust.json") == 2
    assert (tmp_path / "trust.json").read_bytes() == trust
    assert not (tmp_path / "other.pem").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.pem", "trust.json"]
    assert "is there twice" in capsys.readouterr().err


# Receipts.


@pytest.fixture
def execution(tmp_path: Path) -> dict[str, Any]:
    """An execution's details with its receipt, in execution.json; the runner's key is trusted in runner.json."""
    key = PrivateKey.generate()
    output = {"response": "4", "refused": False}
    facts = {"job_id": "job-1", "region": "US", "model_id": "m", "status": "completed"}
    document = {"output": output, "receipt": sign_receipt(facts | {"output_sha256": output_sha256(output)}, key)}
    (tmp_path / "execution.json").write_text(json.dumps(document))
    entry = {"kid": "runner", "public_key": key.public_key, "status": "active"}
    (tmp_path / "runner.json").write_text(json.dumps([entry]))
    return document


def test_a_genuine_receipt(execution: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("receipt", "execution.json", "--trust", "runner.json") == 0
    shown = capsys.readouterr().out
    assert "The receipt is genuine: signed by runner, and the output is its." in shown
    assert "job-1" in shown
    (tmp_path / "receipt.json").write_text(json.dumps(execution["receipt"]))
    assert usage("receipt", "receipt.json", "--trust", execution["receipt"]["public_key"], "--json") == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True


def test_receipts_that_are_not_genuine(
    execution: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = PrivateKey.generate()
    assert usage("receipt", "execution.json", "--trust", other.public_key) == 1
    assert "trust_violation:unknown" in capsys.readouterr().err
    changed = execution | {"receipt": execution["receipt"] | {"status": "failed"}}
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    assert usage("receipt", "changed.json", "--trust", "runner.json") == 1
    assert "signature_mismatch" in capsys.readouterr().err
    swapped = execution | {"output": {"response": "5"}}
    (tmp_path / "swapped.json").write_text(json.dumps(swapped))
    assert usage("receipt", "swapped.json", "--trust", "runner.json") == 1
    assert "not the one that it is about" in capsys.readouterr().err


# Where the API is.


def test_the_stack_that_runs_here_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Target.find(None).url == "http://127.0.0.1:8090"
    home = tmp_path / "home"
    home.mkdir()
    (home / "running.json").write_text('{"pid": 1, "api_url": "http://127.0.0.1:1234"}')
    (home / "admin-token").write_text("t" * 32)
    here = Target.find(None)
    assert (here.url, here.kept("admin-token"), here.kept("signing.pem")) == (
        "http://127.0.0.1:1234",
        home / "admin-token",
        None,
    )
    # Its secrets are for it alone.
    assert Target.find("https://example.org/").kept("admin-token") is None
    monkeypatch.setenv("BEACON_URL", "https://runner.example.org")
    assert Target.find(None).url == "https://runner.example.org"
    with pytest.raises(UsageError):
        Target.find("ftp://example.org")


# What is shown.


def row(region: str, model: str, question: str | None, status: str = "completed", **more: Any) -> dict[str, Any]:
    made = {"region": region, "model_id": model, "question_id": question, "status": status, "duration_ms": 1500}
    return made | {"id": 1, "error": None, "output": {"response": f"from {region}"}, "retry_count": 0} | more


def snapshot(rows: list[dict[str, Any]], status: str = "completed", **job: Any) -> Snapshot:
    document = {"id": "job-1", "status": status, "job": {"questions": ["b", "a"], "models": [{"id": "z"}, "m"]}}
    return Snapshot(document | {"created_at": "2026-01-01T00:00:00Z", "completed_at": None, "waiting": []} | job, rows)


def test_a_model_can_not_steer_the_terminal() -> None:
    assert clean("a\x1b[31mred\x07\x9b0m\u202egnp.exe\n\tb") == "a\ufffd[31mred\ufffd\ufffd0m\ufffdgnp.exe\n\tb"


def test_durations() -> None:
    assert [duration(text) for text in ("90", "1.5s", "15m", "2h")] == [90, 1.5, 900, 7200]
    with pytest.raises(argparse.ArgumentTypeError):
        duration("-5s")


def test_the_order_of_regions_models_and_questions() -> None:
    found = snapshot([row(r, m, q) for r in ("EU", "BR", "US") for m in ("m", "z", "y") for q in ("a", "b", "c")])
    assert found.regions == ["US", "EU", "BR"]
    assert found.models == ["z", "m", "y"]
    assert found.questions == ["b", "a", "c"]


def test_a_question_is_shown_as_it_was_asked() -> None:
    """Answers to a free text carry an id made from it; nobody remembers that one, and its order says nothing."""
    texts = ["Why?", "a", "How?"]
    ids = [t if t == "a" else f"text-{hashlib.sha256(t.encode()).hexdigest()[:16]}" for t in texts]
    found = snapshot([row("US", "m", name) for name in sorted(ids)], job={"questions": texts})
    assert found.questions == ids
    assert [found.title(name) for name in found.questions] == texts
    heads = [text for text in side_by_side(found, 80) if text in {*texts, *ids}]
    assert heads == texts
    assert line(found.rows[-1], found.title(found.rows[-1]["question_id"])).split("  ")[2] in texts


def test_a_partial_job_says_so() -> None:
    assert snapshot([], cross_region={"status": "partial"}).verdict == "partial"
    assert snapshot([], "running", cross_region={"status": "running"}).verdict == "running"


def test_badges_beside_an_answer() -> None:
    shown = badges(row("US", "m", None, output={"refused": True, "simulated": True}, retry_count=2))
    assert shown == ["simulated", "refused", "2 retries"]
    assert badges(row("US", "m", None, "failed", output=None, error_detail={"code": "timeout"})) == ["timeout"]


def test_answers_side_by_side() -> None:
    rows = [
        row("US", "m", "a", output={"response": "A long answer that needs more than one line of its column.\x1b[2J"}),
        row("EU", "m", "a", output={"response": "No.", "refused": True}),
        row("ASIA", "m", "a", "failed", output=None, error="It took too long.", error_detail={"code": "timeout"}),
    ]
    lines = side_by_side(snapshot(rows), 90)
    assert max(map(len, lines)) <= 90
    assert lines[0] == "a"
    heads = lines[3].split("|")
    assert [head.strip() for head in heads] == ["US", "EU  [refused]", "ASIA  [timeout]"]
    assert any("No." in line for line in lines)
    assert any("It took too long." in line for line in lines)
    assert "\x1b" not in "".join(lines)


# Why a job is not done.

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def event(kind: str, region: str | None = None, at: str = "2026-01-01T00:05:00+00:00", **detail: Any) -> dict[str, Any]:
    return {"type": kind, "region": region, "at": at, "detail": detail, "actor": "ops"}


def reason(subject: str, text: str, remedy: str = "") -> dict[str, Any]:
    return {"subject": subject, "text": text, "remedy": remedy, "serious": bool(remedy)}


def tell(found: Snapshot, *events: dict[str, Any]) -> str:
    return " ".join(Story(found, [event("submitted"), *events], NOW).lines())


def test_what_an_open_job_waits_for() -> None:
    rows = [row(region, "m", "a", "pending") for region in ("US", "EU", "ASIA")]
    told = tell(
        snapshot(
            rows,
            "running",
            waiting=[
                reason("US", "It waits.", "python -m runner_worker --region US"),
                reason("ASIA", "It runs."),
            ],
        )
    )
    assert told == (
        "Job job-1 is running; it was submitted 10 min ago. EU has finished. "
        "US: It waits. -> python -m runner_worker --region US. ASIA: It runs."
    )


def test_a_job_that_failed() -> None:
    failed = {"error": "The provider said 401.", "error_detail": {"code": "http_401"}, "output": None}
    across = {
        "status": "failed",
        "success_count": 0,
        "total_regions": 1,
        "min_regions_required": 1,
        "min_success_rate": 0.67,
    }
    told = tell(
        snapshot(
            [row("US", "m", "a", "failed", **failed), row("US", "m", "b", "failed", **failed)],
            "failed",
            completed_at="2026-01-01T00:08:00Z",
            cross_region=across,
            waiting=[reason("http_401", "m in US: The provider said 401.")],
        )
    )
    assert told.startswith("Job job-1 is done: it ended 2 min ago as failed. 0 of 1 regions succeeded;")
    assert told.count("http_401: m in US: The provider said 401.") == 1
    assert told.endswith("`beacon retry job-1` runs what failed once more.")


def test_who_cancelled() -> None:
    told = tell(
        snapshot([row("US", "m", "a", "cancelled")], "cancelled", completed_at="2026-01-01T00:08:00Z"),
        event("cancel_requested"),
    )
    assert told == "Job job-1 is done: it ended 2 min ago as cancelled. ops cancelled it."


# The canary's arithmetic.


def test_rates_over_restarts() -> None:
    before = {"a": {"db_write_errors_total": 5.0, "db_write_latency_ms_count": 100.0}, "b": {}}
    after = {
        "a": {"db_write_errors_total": 1.0, "db_write_latency_ms_count": 10.0},  # it was restarted
        "b": {"db_write_latency_ms_count": 90.0, "http_requests_total": 50.0, "http_5xx": 5.0},
    }
    assert rates(before, after) == {"writes": 0.01, "pushes": 0.0, "requests": 0.1}
    # Errors without a single success are not a rate of zero.
    assert rates({}, {"a": {"outbox_publish_errors_total": 3.0}})["pushes"] == 1.0


def test_metrics_from_a_targets_file(tmp_path: Path) -> None:
    (tmp_path / "targets.json").write_text('[{"targets": ["127.0.0.1:1"]}, {"targets": ["127.0.0.1:2"]}]')
    assert urls_of(["http://h/metrics", "targets.json"]) == [
        "http://h/metrics",
        "http://127.0.0.1:1/metrics",
        "http://127.0.0.1:2/metrics",
    ]
    with pytest.raises(UsageError):
        urls_of(["none.json"])
