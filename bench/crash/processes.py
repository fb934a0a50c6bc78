"""The product's processes, forked from a process that has imported everything, so that a start takes milliseconds.

The lane's own process has threads and must not fork. So another process without threads forks for it.
"""

import contextlib
import ctypes
import json
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 5.0
ESTABLISHED = "01"  # a state in /proc/net/tcp
KILL_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


@dataclass(eq=False)
class Process:
    """A running process. `handle` is its pidfd, readable when it has ended."""

    kind: str
    pid: int
    handle: int

    def send(self, number: signal.Signals) -> None:
        """Send a signal; do nothing if the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, number)

    def has_ended(self, seconds: float = 0.0) -> bool:
        """Return whether the process ends within so many seconds."""
        ready = select.poll()
        ready.register(self.handle, select.POLLIN)
        return bool(ready.poll(seconds * 1000))

    def has_read(self, requests: int, port: int) -> bool:
        """Return whether it has read so many requests at that port completely, and all its threads wait."""
        with contextlib.suppress(FileNotFoundError):  # it has ended
            rows = [line.split() for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]]
            open_there = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED]
            unread = any(int(row[4].partition(":")[2], 16) for row in open_there)
            return len(open_there) >= requests and not unread and self._is_in("S")
        return False

    def stop(self) -> None:
        """Stop it (SIGSTOP), and wait until all its threads are stopped."""
        self.send(signal.SIGSTOP)
        while not self._is_in("T") and not self.has_ended(0.001):
            pass

    def _is_in(self, state: str) -> bool:
        """Return whether all its threads are in this state of /proc."""
        with contextlib.suppress(FileNotFoundError):  # it has ended
            for task in os.scandir(f"/proc/{self.pid}/task"):
                with contextlib.suppress(OSError):  # the thread has ended
                    if Path(task.path, "stat").read_text().rpartition(")")[2].split()[0] != state:
                        return False
        return True

    def holds(self, port: int) -> bool:
        """Return whether this process has a TCP connection from that local port."""
        with contextlib.suppress(OSError):
            end = f":{port:04X}"
            table = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]
            nodes = {f"socket:[{line.split()[9]}]" for line in table if line.split()[1].endswith(end)}
            for entry in os.scandir(f"/proc/{self.pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(entry.path) in nodes:
                        return True
        return False


class Processes:
    """Starts and ends processes of the product. Their output goes to `log`."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._running: list[Process] = []
        self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._line.close()
            _fork_on_demand(other)
        other.close()

    def start(self, kind: str, env: Mapping[str, str]) -> Process:
        """Start an `api`, a `publisher`, a `worker REGION`, an `analyst` or a `migrate`."""
        self._line.send(json.dumps([kind, dict(env), self._log]).encode())
        pid = int(self._line.recv(64))
        with contextlib.suppress(ProcessLookupError):
            process = Process(kind, pid, os.pidfd_open(pid))
            self._running.append(process)
            return process
        raise RuntimeError(f"{kind} ended at once, see {self._log}")

    def running(self) -> list[Process]:
        """Return the processes that have not ended."""
        return [process for process in self._running if not process.has_ended()]

    def stop(self, *processes: Process) -> None:
        """Stop these by SIGTERM, as a deployment does."""
        for process in processes:
            process.send(signal.SIGTERM)
        self._reap(processes)

    def kill(self, *processes: Process) -> None:
        """SIGKILL these."""
        for process in processes:
            process.send(signal.SIGKILL)
        self._reap(processes)

    def _reap(self, processes: tuple[Process, ...]) -> None:
        until = time.monotonic() + STOP_SECONDS
        for process in processes:
            if not process.has_ended(max(0.0, until - time.monotonic())):
                process.send(signal.SIGKILL)
                process.has_ended(STOP_SECONDS)
            if process in self._running:
                self._running.remove(process)
            with contextlib.suppress(OSError):
                os.close(process.handle)

    def kill_all(self) -> None:
        """SIGKILL all of them."""
        self.kill(*self._running)


def unread(port: int) -> set[int]:
    """Return the clients' ports of the connections to `port` with data that the server has not read yet."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines() if f":{port:04X} " in line]
    waiting = [row for row in rows if row[1].endswith(f":{port:04X}") and int(row[4].partition(":")[2], 16)]
    return {int(row[2].rpartition(":")[2], 16) for row in waiting}


def die_with_parent() -> None:
    """Let the kernel SIGKILL this process when the thread that forked it ends."""
    ctypes.CDLL(None).prctl(KILL_WITH_PARENT, signal.SIGKILL)


def _fork_on_demand(line: socket.socket) -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody reads their exit status
    while request := line.recv(1 << 16):
        kind, env, log = json.loads(request)
        if (pid := os.fork()) == 0:
            line.close()
            _become(kind, env, log)
        line.send(str(pid).encode())
    os._exit(0)


def _become(kind: str, env: dict[str, str], log: str) -> None:
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    status = 1
    try:
        status = _main(kind, env)
    except SystemExit as error:
        status = int(error.code or 0)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _main(kind: str, env: Mapping[str, str]) -> int:
    name, _, region = kind.partition(" ")
    if name == "publisher":
        from outbox_publisher.__main__ import main

        return main([])
    if name == "worker":
        from runner_worker.__main__ import main as work

        return work(["--region", region])
    if name == "analyst":
        from runner_analyst.__main__ import main as analyse

        return analyse([])
    if name == "api":
        return _serve(env)
    if name == "migrate":
        from runner_core.migrate import migrate
        from runner_core.telemetry import setup_logging

        setup_logging("migrate", as_json=False)
        migrate(env["DATABASE_URL"])
        logging.getLogger("crash").info("migrate: done")
        return 0
    raise ValueError(f"there is no process {kind!r}")


def _serve(env: Mapping[str, str]) -> int:
    """Serve the real application by werkzeug, because gunicorn takes longer to start than a point takes."""
    from werkzeug.serving import make_server

    from runner_api.app import create_app
    from runner_core.db import Database
    from runner_core.regions import load_catalogue
    from runner_core.settings import Settings
    from runner_core.telemetry import setup_logging
    from runner_core.trust import TrustList

    setup_logging("api", as_json=False)
    settings = Settings.from_env(env, process="api")
    db = Database(settings, "api").open()
    catalogue = load_catalogue(settings.jobs.regions_file, allow_sandbox=True)
    app = create_app(settings, db, catalogue, TrustList.load(settings.api.trusted_keys_file))
    make_server("127.0.0.1", int(env["PORT"]), app, threaded=True).serve_forever()
    return 0
