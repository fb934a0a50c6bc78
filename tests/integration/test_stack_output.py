"""The supervisor's output where a screen or a log file can't take it, and the addresses that it gives out."""

import io
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner_cli.listening import api_address
from runner_cli.log_file import LogFile
from runner_cli.processes import read_procfile, write_targets
from runner_cli.screen import Screen
from runner_cli.stack import Stack
from runner_core.errors import ConfigError

# Says its number after each line that it is sent, so that a test paces it.
COUNTER = "import sys\nfor line in sys.stdin: print('line', line.strip(), flush=True)\n"


class Blocked(io.StringIO):
    """A stream whose reader takes nothing until it is let go, as a terminal after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait()
        return super().write(text)


class Left(io.StringIO):
    """A stream whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_log_file_drops_what_it_can_not_write_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log/api.1.log"
    path.parent.mkdir()
    path.symlink_to("/dev/full")  # answers as a full disk does
    log = LogFile(path)
    log.write(b"lost\n")
    log.write(b"lost too\n")
    path.unlink()  # the disk is free again
    log.write(b"first\n")
    log.write(b"second\n")
    assert path.read_text().splitlines() == ["", "[2 lines could not be written here]", "first", "second"]
    log.close()


def test_a_log_file_whose_folder_went_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    log = LogFile(tmp_path / "log/api.1.log")
    log.write(b"lost\n")
    (tmp_path / "log").unlink()
    log.write(b"kept\n")
    assert "kept" in (tmp_path / "log/api.1.log").read_text()
    log.close()


def test_a_screen_that_takes_nothing_holds_nobody_up() -> None:
    stream = Blocked()
    screen = Screen(stream)
    for number in range(20_000):
        screen("api.1", f"line {number}")  # returns, though nobody reads
    stream.go.set()
    screen("api.1", "line last")
    screen.close()
    shown = stream.getvalue()
    assert "line 0\n" in shown
    assert "lines are not shown; the log files have them" in shown


def test_a_screen_whose_reader_left_raises_nothing() -> None:
    screen = Screen(Left())
    screen("api.1", "line")
    screen("api.1", "line")
    screen.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "counter.py").write_text(COUNTER)
    return tmp_path


def test_a_full_log_disk_ends_neither_the_reading_nor_the_process(home: Path) -> None:
    """Every line is seen on the screen, and those behind the fault in the file too."""
    (home / "log").mkdir()
    (home / "log/web.1.log").symlink_to("/dev/full")
    os.mkfifo(home / "to")
    (home / "Procfile").write_text(f"web: exec {sys.executable} counter.py < to\n")
    lines: queue.Queue[str] = queue.Queue()
    stack = Stack(os.environ, home, on_line=lambda name, line: lines.put(line), procfile=home / "Procfile")
    stack.start()
    try:
        with (home / "to").open("w", buffering=1) as to:
            for number in range(20):
                to.write(f"{number}\n")
                assert lines.get(timeout=30) == f"line {number}"
                if number == 9:
                    (home / "log/web.1.log").unlink()
    finally:
        stack.stop()
    assert (home / "log/web.1.log").read_text().splitlines()[-10:] == [f"line {number}" for number in range(10, 20)]


def test_a_process_that_can_not_be_started_is_tried_again(home: Path) -> None:
    """Where the machine has no room for another process, the others run on."""
    (home / "Procfile").write_text("web: sleep 100\n")
    lines: queue.Queue[str] = queue.Queue()
    stack = Stack(
        {**os.environ, "ODD": "x" * 3_000_000},
        home,
        on_line=lambda name, line: lines.put(line),
        procfile=home / "Procfile",
    )
    stack.start()
    assert lines.get(timeout=30).startswith(
        "[ended (it could not be started: Argument list too long); starts again in 0.2 s]"
    )
    stack.stop()


@pytest.mark.parametrize(
    ("env", "bind", "reached_at"),
    [
        ({}, "127.0.0.1:8090", "127.0.0.1:8090"),
        ({"PORT": "7000"}, "127.0.0.1:7000", "127.0.0.1:7000"),
        ({"PORT": "7000", "BIND": "0.0.0.0:9999"}, "0.0.0.0:9999", "127.0.0.1:9999"),
        ({"BIND": "[::]:9999"}, "[::]:9999", "[::1]:9999"),
        ({"BIND": "[::1]:9999"}, "[::1]:9999", "[::1]:9999"),
        ({"BIND": ":9999"}, "0.0.0.0:9999", "127.0.0.1:9999"),
        ({"BIND": "localhost:9999"}, "localhost:9999", "localhost:9999"),
    ],
)  # fmt: skip
def test_one_place_says_where_the_api_listens(env: dict[str, str], bind: str, reached_at: str, home: Path) -> None:
    """Who waits for it, Prometheus and the process itself are told the same."""
    (home / "Procfile").write_text("api: x\nworker: y\n")
    env = env | {"METRICS_PORT": "7100", "METRICS_HOST": "0.0.0.0"}  # noqa: S104
    first, second, worker = read_procfile(home / "Procfile", env, {"api": 2})
    assert (api_address(env).bind, api_address(env).reached_at) == (bind, reached_at)
    assert (first.env["BIND"], first.metrics.reached_at) == (bind, reached_at)
    assert int(second.env["BIND"].rpartition(":")[2]) == int(second.env["PORT"]) == int(first.env["PORT"]) + 1
    assert "BIND" not in worker.env or worker.env["BIND"] == env["BIND"]
    write_targets(home, [first, second, worker])
    targets = [target["targets"][0] for target in json.loads((home / "targets.json").read_text())]
    assert targets == [reached_at, second.metrics.reached_at, "127.0.0.1:7102"]


@pytest.mark.parametrize(
    "env",
    [
        {"PORT": "abc"},
        {"PORT": "0"},
        {"PORT": "-1"},
        {"PORT": "99999"},
        {"BIND": "unix:/run/api"},
        {"BIND": "127.0.0.1"},
        {"BIND": "127.0.0.1:0"},
        {"BIND": "127.0.0.1:1,127.0.0.1:2"},
        {"METRICS_PORT": "65535"},
        {"METRICS_PORT": "x"},
        {"PORT": "65535", "COPIES": "2"},
    ],
)
def test_addresses_that_can_not_be(env: dict[str, str], home: Path) -> None:
    (home / "Procfile").write_text("api: x\nworker: y\n")
    with pytest.raises(ConfigError):
        read_procfile(home / "Procfile", env, {"api": int(env.get("COPIES", 1))})


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--port", "99999"], {}, "argument --port: a port is a number from 1 to 65535"),
        (["--port=-1"], {}, "argument --port: a port is a number from 1 to 65535"),
        (["--port", "0"], {}, "argument --port: a port is a number from 1 to 65535"),
        (["--count", "worker_us=1000"], {}, "write PROCESS=N with N up to 999"),
        ([], {"PORT": "abc"}, "PORT is not a number from 1 to 65535"),
        ([], {"METRICS_PORT": "65534"}, "METRICS_PORT is too high: each process needs a port of its own"),
        ([], {"BIND": "unix:/run/api"}, "BIND is not host:port"),
        (["--port", "7000"], {"BIND": "nonsense"}, "BIND must be host:port with a port"),
    ],
)  # fmt: skip
def test_up_says_so_before_it_starts_anything(arguments: list[str], env: dict[str, str], said: str, home: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("PORT", "BIND", "METRICS_PORT")}
    done = subprocess.run(
        [sys.executable, "-m", "runner_cli", "up", *arguments],
        env=kept | {"BEACON_HOME": str(home / "home")} | env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (home / "home").exists()


@pytest.mark.parametrize("arguments", [[], ["--port", "7000"]])
def test_every_mistake_of_up_is_told_in_one_message(arguments: list[str], home: Path) -> None:
    wrong = {"BIND": "nonsense", "LOG_JSON": "perhaps", "REDIS_URL": "nothing", "METRICS_PORT": "65535"}
    done = subprocess.run(
        [sys.executable, "-m", "runner_cli", "up", *arguments],
        env={**os.environ, "BEACON_HOME": str(home / "home"), **wrong, "REGIONS_FILE": "/nowhere.toml"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    told = [name for name in (*wrong, "/nowhere.toml") if name in done.stderr]
    assert (done.returncode, told) == (2, [*wrong, "/nowhere.toml"]), done.stderr
    assert not (home / "home").exists()
