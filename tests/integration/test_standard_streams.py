"""Programs whose stdin, stdout or stderr is closed, full or left by its reader, and Ctrl-C before they have begun."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_cli.child import free_port
from runner_cli.exits import Exit
from tests.answering import ANSWERS, Service

BEACON = [sys.executable, "-m", "runner_cli"]
PROCESSES = [
    [sys.executable, "-m", "runner_api"],
    [sys.executable, "-m", "outbox_publisher"],
    [sys.executable, "-m", "runner_worker", "--region", "US"],
    [sys.executable, "-m", "runner_analyst"],
]
ROOT = Path(__file__).parents[2]


SETTINGS = {
    "REGIONS_FILE": str(ROOT / "regions/sandbox.toml"),
    "ALLOW_SANDBOX": "1",
    "TRUST_ENFORCE": "0",
}


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    service = Service()
    service.answers = dict(ANSWERS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BEACON_", "DATABASE", "REDIS"))}
    (tmp_path / "job.json").write_text("{}")
    yield kept | {"BEACON_URL": service.url, "BEACON_HOME": str(tmp_path / "home")}
    service.server.shutdown()


def shell(line: str, env: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """A command of ours with the redirections of a shell; `beacon` stands for it."""
    words = line.replace("beacon", f"'{BEACON[0]}' -m {BEACON[2]}", 1)
    return subprocess.run(
        ["/bin/bash", "-c", words], env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("beacon jobs >&-", 1, "beacon jobs: stdout: Bad file descriptor\n"),
        ("beacon jobs >/dev/full", 1, "beacon jobs: stdout: No space left on device\n"),
        ("beacon jobs --json >/dev/full", 1, "beacon jobs: stdout: No space left on device\n"),
        ("beacon show j >/dev/full", 1, "beacon show: stdout: No space left on device\n"),
        ("beacon --help >/dev/full", 1, "beacon --help: stdout: No space left on device\n"),
        ("beacon jobs --help >/dev/full", 1, "beacon jobs: stdout: No space left on device\n"),
        ("beacon --version >&-", 1, "beacon --version: stdout: Bad file descriptor\n"),
        ("beacon submit - <&-", 2, "beacon submit: stdin can't be read: Bad file descriptor\n"),
        ("beacon receipt - --trust x <&-", 2, "beacon receipt: stdin can't be read: Bad file descriptor\n"),
        ("beacon jobs <&-", 0, ""),
        ("beacon show nobody 2>&-", 6, ""),
        ("beacon show nobody 2>/dev/full", 6, ""),
        ("beacon jobs --what 2>/dev/full", 2, ""),
        ("beacon watch j 2>/dev/full >/dev/null", 0, ""),
        ("beacon jobs <&- >&- 2>&-", 1, ""),
        ("beacon show j --answers --events | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("beacon jobs --help | true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)  # fmt: skip
def test_a_stream_that_can_not_be_used(line: str, code: int, said: str, env: dict[str, str], tmp_path: Path) -> None:
    """A result that can't be written is one line and exit 1; a remark that can't be written changes nothing."""
    # The reader of a pipe may leave after the last byte was written: then all was well.
    done = shell(line.replace("| true", "| sleep 0"), env, tmp_path)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr == said
    assert done.returncode in ((code, 0) if code == Exit.BROKEN_PIPE else (code,))


def test_a_closed_descriptor_is_not_given_to_a_file(tmp_path: Path, env: dict[str, str]) -> None:
    """Else what is printed would go to the API's socket."""
    script = (
        "from runner_core.standard_streams import for_a_command; for_a_command()\n"
        "import os; print(os.open('/dev/null', os.O_RDONLY), file=open('number', 'w'))"
    )
    subprocess.run(
        ["/bin/bash", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, script],
        env=env | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert int((tmp_path / "number").read_text()) > 2


@pytest.mark.parametrize("program", PROCESSES, ids=lambda program: program[2])
@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", ">/dev/full 2>&1", "| true"])
def test_a_process_without_a_log_goes_on(program: list[str], streams: str, env: dict[str, str], tmp_path: Path) -> None:
    """It waits for its database as long as it was told to, and ends as it would with a log."""
    settings = SETTINGS | {
        "DATABASE_URL": f"postgresql://u:p@127.0.0.1:{free_port()}/d",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "PROBE_SECONDS": "1",
    }
    quoted = " ".join(f"'{word}'" for word in program)
    began = time.monotonic()
    done = subprocess.run(
        ["/bin/bash", "-c", f"{quoted} {streams}; exit ${{PIPESTATUS[0]}}"],
        env=env | settings, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert time.monotonic() - began > 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("imports", [2, 20, 60, 120, 240])
@pytest.mark.parametrize(
    "program",
    [
        ["-m", "runner_cli", "watch", "j"],
        ["-m", "runner_cli", "doctor"],
        [str(Path(sys.executable).with_name("beacon")), "jobs"],
        *(program[1:] for program in PROCESSES),
    ],
    ids=["watch", "doctor", "installed", "api", "publisher", "worker", "analyst"],
)
def test_ctrl_c_while_modules_are_imported(program: list[str], imports: int, env: dict[str, str]) -> None:
    """It is 130 and silent. The signal comes when so many more modules have been imported than the one that catches."""
    settings = SETTINGS | {
        "DATABASE_URL": f"postgresql://u:p@127.0.0.1:{free_port()}/d",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    # It can't run ahead by more lines than a page holds, and so not to its end: nothing of them is read in advance.
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", *program], env=env | settings,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pipesize=4096, bufsize=0,
    )  # fmt: skip
    assert process.stderr is not None
    left = None
    for line in process.stderr:
        if left is None:
            left = imports if line.rstrip().endswith(b"runner_core.early_interrupt") else None
        elif left := left - 1:
            continue
        else:
            break
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert [line for line in said.splitlines() if not line.startswith("import time:")] == []
    assert process.returncode == Exit.INTERRUPTED


def test_ctrl_c_of_the_script_is_held_back_until_the_command_takes_it(tmp_path: Path) -> None:
    """`./beacon` hands over to another interpreter, whose start would show a traceback."""
    checkout = tmp_path / "checkout"
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / "beacon").write_bytes((ROOT / "beacon").read_bytes())
    (checkout / "pyproject.toml").write_text("")
    stamp = hashlib.sha256(os.fsencode(checkout)).hexdigest()
    (checkout / ".venv/.beacon-stamp").write_text(f"{stamp} local")
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    (checkout / ".venv/bin/beacon").write_text(
        f"#!{sys.executable}\nimport signal\nprint(signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
    )
    (checkout / ".venv/bin/beacon").chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(checkout / "beacon"), "jobs"], capture_output=True, text=True, check=True
    )
    assert "SIGINT" in done.stdout


def test_an_interrupt_that_the_interpreter_ignores_comes_again() -> None:
    """As in a finaliser, whose exceptions go nowhere."""
    program = (
        "import signal, time\n"
        "from runner_core.early_interrupt import repeat_lost_interrupts\n"
        "repeat_lost_interrupts()\n"
        "class Last:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        pass\n"
        "try:\n"
        "    Last()\n"
        "    time.sleep(300)\n"
        "except KeyboardInterrupt:\n"
        "    print('seen')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("seen\n", "")
