"""The supervisor, with small Procfiles of real processes."""

import json
import os
import queue
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner_cli.home import CHECKOUT
from runner_cli.processes import StackError, read_procfile
from runner_cli.shipped import PROCFILE
from runner_cli.stack import Stack

# Says its pid, then waits; says so when it is asked to end.
WAITER = """\
import os, signal, sys
def end(*_):
    print("ending", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", os.getpid(), flush=True)
while True:
    signal.pause()
"""
DEAF = WAITER.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
PARENT = WAITER.replace('print("up"', 'import subprocess\nsubprocess.Popen(["sleep", "300"])\nprint("up"')


class Lines:
    """What the processes wrote, to wait for."""

    def __init__(self) -> None:
        self.queue: queue.Queue[tuple[str, str]] = queue.Queue()
        self.seen: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.queue.put((name, line))

    def until(self, name: str, start: str) -> str:
        """The next line of `name` that begins with `start`."""
        while True:
            entry = self.queue.get(timeout=60)
            self.seen.append(entry)
            if entry[0] == name and entry[1].startswith(start):
                return entry[1]

    def rest(self) -> list[tuple[str, str]]:
        while not self.queue.empty():
            self.seen.append(self.queue.get())
        return self.seen


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def make(tmp_path: Path, lines: Lines) -> Iterator[Callable[..., Stack]]:
    """Makes a stack of a Procfile given as text, in a folder with the scripts above."""
    made: list[Stack] = []

    def build(procfile: str, counts: dict[str, int] | None = None, max_ends: int = 5, **env: str) -> Stack:
        for name, script in (("waiter.py", WAITER), ("deaf.py", DEAF), ("parent.py", PARENT)):
            (tmp_path / name).write_text(script)
        (tmp_path / "Procfile").write_text(procfile)
        home = tmp_path / "ho me"
        home.mkdir(exist_ok=True)
        path = tmp_path / "Procfile"
        stack = Stack(os.environ | env, home, counts, on_line=lines, procfile=path, max_ends=max_ends)
        made.append(stack)
        return stack

    yield build
    for stack in made:
        stack.request_stop()
        stack.stop()


def test_a_killed_process_starts_again(make: Callable[..., Stack], lines: Lines) -> None:
    stack = make("web: python waiter.py\n")
    stack.start()
    first = lines.until("web.1", "up")
    killed = stack.kill("web.1")
    assert first == f"up {killed}"
    lines.until("web.1", "[ended (killed by SIGKILL); starts again in 0.2 s]")
    second = lines.until("web.1", "up")
    assert second != first
    assert second == f"up {stack.processes()[0].pid}"


def test_what_a_killed_process_forked_ends_with_it(make: Callable[..., Stack], lines: Lines) -> None:
    stack = make("web: python parent.py\n")
    stack.start()
    pid = int(lines.until("web.1", "up").split()[1])
    (forked,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    handle = os.pidfd_open(int(forked))
    stack.kill("web.1")
    assert select.select([handle], [], [], 20)[0]
    os.close(handle)


def test_backoff_grows_and_five_ends_stop_the_stack(make: Callable[..., Stack], lines: Lines) -> None:
    stack = make("web: echo broken; exit 7\nother: python waiter.py\n")
    stack.start()
    assert stack.wait(60) == 1
    assert stack.failure is not None
    assert stack.failure.startswith("web.1 ended 5 times within 30 s (status 7); its last lines:")
    assert "broken" in stack.failure
    pauses = [line.split(" in ")[1] for _, line in lines.rest() if line.startswith("[ended")]
    assert pauses == ["0.2 s]", "0.4 s]", "0.8 s]", "1.6 s]"]
    assert stack.processes()[1].pid is None


def test_the_end_comes_in_reverse_order(make: Callable[..., Stack], lines: Lines) -> None:
    stack = make("a: python waiter.py\nb: python waiter.py\nc: python waiter.py\n", counts={"b": 2})
    stack.start()
    for name in ("a.1", "b.1", "b.2", "c.1"):
        lines.until(name, "up") if (name, "up") not in [(n, s[:2]) for n, s in lines.seen] else None
    stack.stop()
    ended = [name for name, line in lines.rest() if line == "ending"]
    assert ended[0] == "c.1"
    assert sorted(ended[1:3]) == ["b.1", "b.2"]
    assert ended[3] == "a.1"
    assert stack.wait(0) == 0


def test_a_deaf_process_is_killed_after_the_grace(make: Callable[..., Stack], lines: Lines) -> None:
    stack = make("web: python deaf.py\n", STOP_GRACE_SECONDS="-1.8")
    stack.start()
    lines.until("web.1", "up")
    stack.stop()
    child = stack.processes()[0].child
    assert child is not None
    assert child.returncode == -signal.SIGKILL
    assert ("web.1", "[killed: it did not end within 0 s]") in lines.rest()


def test_asked_twice_it_kills(make: Callable[..., Stack], lines: Lines) -> None:
    stack = make("web: python deaf.py\n", STOP_GRACE_SECONDS="600")
    stack.start()
    lines.until("web.1", "up")
    stack.request_stop()
    assert stack.wait(0) is None
    stack.request_stop()
    assert stack.wait(20) == 0


def test_a_stopped_process_can_still_be_ended(make: Callable[..., Stack], lines: Lines) -> None:
    stack = make("web: python waiter.py\n")
    stack.start()
    lines.until("web.1", "up")
    stack.signal("web.1", signal.SIGSTOP)
    stack.stop()
    assert ("web.1", "ending") in lines.rest()


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    (tmp_path / "waiter.py").write_text(WAITER)
    (tmp_path / "Procfile").write_text("web: python waiter.py\nother: python waiter.py\n")
    script = (
        "import os, sys; from pathlib import Path; from runner_cli.stack import Stack\n"
        "stack = Stack(os.environ, Path(sys.argv[1]), procfile=Path(sys.argv[1]) / 'Procfile')\n"
        "stack.start(); stack.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    )
    assert parent.stdout is not None
    handles = [os.pidfd_open(int(parent.stdout.readline().split()[-1])) for _ in range(2)]
    parent.kill()
    parent.communicate()
    for handle in handles:
        assert select.select([handle], [], [], 20)[0]
        os.close(handle)


def test_each_process_gets_only_its_own_login(make: Callable[..., Stack], lines: Lines) -> None:
    logins = {f"DATABASE_URL_{role}": role.lower() for role in ("API", "PUBLISHER", "WORKER", "ANALYST")}
    show = "env | grep ^DATABASE_URL | sort | tr '\\n' ' '; echo; exec sleep 300"
    procfile = "".join(f"{kind}: {show}\n" for kind in ("api", "publisher", "worker_us", "analyst"))
    stack = make(procfile, DATABASE_URL="owner", **logins)
    stack.start()
    said: dict[str, str] = {}
    while len(said) < 4:
        name, line = lines.queue.get(timeout=60)
        if line:
            said[name] = line.strip()
    assert said == {
        "analyst.1": "DATABASE_URL=analyst",
        "api.1": "DATABASE_URL=api",
        "publisher.1": "DATABASE_URL=publisher",
        "worker_us.1": "DATABASE_URL=worker",
    }


def test_ports_targets_and_logs(make: Callable[..., Stack], lines: Lines, tmp_path: Path) -> None:
    show = "echo $PORT $METRICS_PORT; exec sleep 300"
    stack = make(f"api: {show}\nworker_us: {show}\n", counts={"worker_us": 2}, PORT="7000", METRICS_PORT="7100")
    stack.start()
    for name, ports in (("api.1", "7000 7100"), ("worker_us.1", "7000 7101"), ("worker_us.2", "7000 7102")):
        if (name, ports) not in lines.seen:
            lines.until(name, ports)
    targets = json.loads((tmp_path / "ho me/targets.json").read_text())
    assert [(t["labels"]["process"], t["targets"]) for t in targets] == [
        ("api.1", ["127.0.0.1:7000"]),
        ("worker_us.1", ["127.0.0.1:7101"]),
        ("worker_us.2", ["127.0.0.1:7102"]),
    ]
    assert (tmp_path / "ho me/log/api.1.log").read_text() == "7000 7100\n"


def test_an_unknown_line_is_refused(make: Callable[..., Stack]) -> None:
    with pytest.raises(StackError, match="Procfile has no worker_mars; it has web"):
        make("web: true\n", counts={"worker_mars": 1})
    stack = make("web: true\n", counts={"web": 0})
    with pytest.raises(StackError, match=r"web\.1 is not running"):
        stack.kill("web.1")


def test_the_projects_own_procfile() -> None:
    processes = read_procfile(PROCFILE, {}, {"worker_us": 2})
    assert [process.name for process in processes] == [
        "api.1",
        "publisher.1",
        "worker_us.1",
        "worker_us.2",
        "worker_eu.1",
        "worker_asia.1",
        "analyst.1",
    ]
