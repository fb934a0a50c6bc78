"""The `beacon` command without a stack: usage, exit codes, help, endings, where the API is."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner_cli.canary_metrics import rates, urls_of
from runner_cli.child import free_port
from runner_cli.commands import COMMANDS
from runner_cli.exits import MEANING, Exit, UsageError
from runner_cli.target import Target
from tests.command_line import beacon, usage

NAMES = [name for group in COMMANDS.values() for name in group]

pytestmark = pytest.mark.usefixtures("alone")


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
            assert "does not answer like a Beacon Runner API" in process.communicate()[1]
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
