"""Starting a server as a child process that cannot outlive its parent, and ending it."""
# ruff: noqa: S603, S607 - it starts what our own modules name; nothing here comes from a request.

import contextlib
import ctypes
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner_core.errors import BeaconError

START_SECONDS = 30.0  # recovery after a crash included
STOP_SECONDS = 15.0
SERVER_PORTS = range(16_000, 32_000)
_first: int = secrets.randbelow(len(SERVER_PORTS))  # not of `random`, which a test may have seeded
_ports = itertools.cycle([*SERVER_PORTS[_first:], *SERVER_PORTS[:_first]])
PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Loaded here, because between fork and exec no library may be loaded: another thread could hold the loader's lock.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class ChildError(BeaconError):
    """A server did not start."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses at this moment and no connection will be given.

    It lies below the ports that a system gives to outgoing connections (Linux from 32768, IANA from 49152): one of
    those could be gone before the server that it is for has started. One process takes them one after the other, from
    a random one on, so that two that choose at the same time do not choose the same.
    """
    for _ in SERVER_PORTS:
        port: int = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ChildError(f"No port from {SERVER_PORTS[0]} to {SERVER_PORTS[-1]} is free.")


def spawn(args: Sequence[str], *, death_signal: signal.Signals, **options: Any) -> "subprocess.Popen[bytes]":
    """Start `args` in a session of its own; `options` are Popen's.

    The own session keeps a terminal's Ctrl-C for the supervisor, which then stops its children in order.
    On Linux the kernel sends `death_signal` when the thread that called this ends, so that even a parent killed by
    SIGKILL leaves nothing behind (prctl(2); a change of user clears it, so it is set after that). Call this from a
    thread that lives as long as the child should. On macOS an orphan stays until the next start finds it.
    """
    parent = os.getpid()

    def follow_parent() -> None:
        if _prctl is not None:
            _prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before prctl: no signal will come any more
                os._exit(1)

    return subprocess.Popen(args, start_new_session=True, preexec_fn=follow_parent, **options)


def end(process: "subprocess.Popen[bytes]", *steps: tuple[signal.Signals, float]) -> int:
    """Send each step's signal and wait up to its seconds, until the process has ended; SIGKILL at last.

    Returns the exit status as Popen does (negative: the signal that ended it)."""
    for sign, seconds in steps:
        if process.poll() is None:
            process.send_signal(sign)
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    return process.wait()


def start_until_ready(
    name: str,
    launch: Callable[[], "subprocess.Popen[bytes]"],
    ready: Callable[["subprocess.Popen[bytes]"], bool],
    log: Path,
) -> "subprocess.Popen[bytes]":
    """Launch and wait until ready; launch again when it ends early: a port was taken in between, or what a killed
    earlier run left (its last backends, its shared memory) was not gone yet. Raises ChildError with the log's end.
    """
    deadline = time.monotonic() + START_SECONDS
    for pause in (0.3, 1.0, 0.0):
        process = launch()
        try:
            while process.poll() is None:
                if ready(process):
                    return process
                if time.monotonic() > deadline:
                    end(process)
                time.sleep(0.02)
        except BaseException:  # a Ctrl-C while nobody else knows of it
            end(process, (signal.SIGINT, STOP_SECONDS))
            raise
        time.sleep(pause)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
    raise ChildError(f"{name} did not start (status {process.returncode}); the end of {log}:\n{tail}")


def end_orphan(name: str, pid_file: Path, folder: Path) -> None:
    """End a server that an earlier, killed run of ours left working in `folder`, and forget its pid file.

    PostgreSQL forgets a stale pid file itself, unless another process of its user has that pid by now."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split("\n")[0] or 0)
    deadline = time.monotonic() + STOP_SECONDS
    while pid and _runs_in(pid, folder, name):
        if time.monotonic() > deadline:
            raise ChildError(f"An earlier {name} (pid {pid}) still runs in {folder} and does not end.")
        os.kill(pid, signal.SIGINT)  # fast shutdown for PostgreSQL, the ordinary one for Valkey
        time.sleep(0.1)
    pid_file.unlink(missing_ok=True)


def _runs_in(pid: int, folder: Path, name: str) -> bool:
    """Whether `pid` is a process whose working folder is `folder`; without /proc, whether it is called `name`."""
    try:
        if Path("/proc/self/cwd").exists():
            return Path(f"/proc/{pid}/cwd").resolve(strict=True) == folder.resolve()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False
    said = subprocess.run(["ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, check=False).stdout
    return name in said
