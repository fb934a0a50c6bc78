"""Supervises the Procfile's processes: each line's copies, started in order and restarted whenever they end.

The stack as a whole ends in two ways: somebody stops it, or one process cannot be kept running. Every process has its
own /metrics port, its own log file below the home, and only its own database login.
"""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from runner_cli.child import spawn
from runner_cli.log_file import LogFile
from runner_cli.processes import OnLine, Process, StackError, read_procfile, write_targets
from runner_cli.screen import Screen
from runner_cli.shipped import PROCFILE

MAX_ENDS, WITHIN_SECONDS = 5, 30.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 10.0
# A process that drains for the whole grace still has to hand back what it holds.
BEYOND_GRACE_SECONDS = 2.0
# How long the next line's SIGTERM waits for this line's end; it does not shorten anybody's grace.
LINE_SECONDS = 0.5
COMPOUND = re.compile(r"[;&|()<>]|^\s*\w+=")


class Stack:
    """The processes of a Procfile.

    `env` is their whole environment; `counts` the copies of a line (1 where silent, 0 leaves it out); `on_line` gets
    each (name, line) that a process writes. `max_ends` within 30 s is how often one process may end before the stack
    gives up; tests that kill on purpose raise it.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        home: Path,
        counts: Mapping[str, int] | None = None,
        *,
        on_line: OnLine | None = None,
        procfile: Path = PROCFILE,
        max_ends: int = MAX_ENDS,
    ) -> None:
        self._home, self._root, self._max_ends = home, procfile.parent, max_ends
        self._grace = float(env.get("STOP_GRACE_SECONDS") or 20) + BEYOND_GRACE_SECONDS
        self._screen = None if on_line else Screen(sys.stdout)
        self._on_line: OnLine = on_line or self._screen  # type: ignore[assignment]  # one of them is there
        self._events: queue.SimpleQueue[Process | None] = queue.SimpleQueue()  # its put may be used in signal handlers
        self._launched, self._done = threading.Event(), threading.Event()
        self._stopping = self._killing = False
        self.failure: str | None = None  # why it gave up
        self._processes = read_procfile(procfile, env, counts or {})

    def start(self) -> None:
        """Start every process; returns when all are started."""
        write_targets(self._home, self._processes)
        # One thread starts and restarts them all: the kernel ends them with the thread that started them.
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()
        self._launched.wait()

    def processes(self) -> list[Process]:
        """Every copy in the Procfile's order, whether it is up at this moment or not."""
        return list(self._processes)

    def signal(self, name: str, sign: signal.Signals) -> int:
        """Send `sign` to the process of this name; returns the pid that got it. Raises StackError when it is down."""
        process = next((p for p in self._processes if p.name == name), None)
        if process is None or process.child is None or process.pid is None:
            raise StackError(f"{name} is not running")
        process.child.send_signal(sign)
        return process.child.pid

    def kill(self, name: str) -> int:
        """SIGKILL the process of this name, as a crash would; it is started again. Returns the killed pid."""
        return self.signal(name, signal.SIGKILL)

    def request_stop(self) -> None:
        """Ask all processes to stop; a second call kills them. Safe in a signal handler."""
        self._killing = self._stopping
        self._stopping = True
        self._events.put(None)
        if self._killing:
            for process in self._processes:
                if process.child is not None and process.pid is not None:
                    _send_group(process.child, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end: 0 when it was asked for, 1 when a process could not be kept running; None: not yet."""
        if not self._done.wait(timeout):
            return None
        return 1 if self.failure else 0

    def stop(self) -> None:
        """Stop everything and wait for it: SIGTERM line by line from the last, SIGKILL after the grace.

        A Ctrl-C during this wait kills them."""
        if not self._launched.is_set():
            return
        if not self._stopping:
            self.request_stop()
        try:
            self._done.wait()
        except KeyboardInterrupt:
            self.request_stop()
            self._done.wait()
            raise
        finally:
            if self._screen:
                self._screen.close()

    # The rest runs in the supervisor's thread.

    def _supervise(self) -> None:
        try:
            for process in self._processes:
                self._start(process)
            self._launched.set()
            while not self._stopping and self.failure is None:
                due = [process.due for process in self._processes if process.due is not None]
                try:
                    ended = self._events.get(timeout=max(0.0, min(due) - time.monotonic()) if due else None)
                    if ended is not None:
                        self._bury(ended)
                except queue.Empty:
                    for process in self._processes:
                        if process.due is not None and process.due <= time.monotonic():
                            self._start(process)
        finally:
            self._stop_all()
            self._launched.set()
            self._done.set()

    def _start(self, process: Process) -> None:
        """Launch the process. When the machine has no room, try again later, as after an end."""
        try:
            self._launch(process)
        except OSError as error:
            process.child = None
            process.last_lines.append(f"it could not be started: {error.strerror}")
            self._bury(process)

    def _launch(self, process: Process) -> None:
        process.ended, process.due, process.started = threading.Event(), None, time.monotonic()
        child = process.child = spawn(
            # With exec the pid is the program's and signals reach it; a compound line needs its shell.
            ["/bin/sh", "-c", process.command if COMPOUND.search(process.command) else f"exec {process.command}"],
            death_signal=signal.SIGTERM,
            env=process.env,
            cwd=self._root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        reader = threading.Thread(target=self._read, args=(process, child), name=f"read {process.name}", daemon=True)
        reader.start()

        def wait() -> None:
            child.wait()
            _send_group(child, signal.SIGKILL)  # what it forked would keep its port
            reader.join(5.0)  # its last lines
            process.ended.set()
            self._events.put(process)

        threading.Thread(target=wait, name=f"wait {process.name}", daemon=True).start()

    def _read(self, process: Process, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdout is not None  # noqa: S101 - a pipe was asked for
        log = LogFile(self._home / "log" / f"{process.name}.log")
        with contextlib.closing(log), child.stdout as output:
            for raw in output:
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                process.last_lines.append(line)
                self._on_line(process.name, line)

    def _bury(self, process: Process) -> None:
        """Set the next start of a process that has ended, or give up."""
        now = time.monotonic()
        how = _status(process.child.returncode) if process.child else process.last_lines[-1]
        process.ends.append(now)
        while process.ends[0] < now - WITHIN_SECONDS:
            process.ends.popleft()
        if len(process.ends) >= self._max_ends:
            said = f"{process.name} ended {len(process.ends)} times within {WITHIN_SECONDS:.0f} s ({how})"
            self.failure = _obituary(process, said)
            return
        process.quick_ends = 0 if now - process.started > WITHIN_SECONDS else process.quick_ends + 1
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** max(0, process.quick_ends - 1))
        process.due = now + backoff
        self._on_line(process.name, f"[ended ({how}); starts again in {backoff:.1f} s]")

    def _stop_all(self) -> None:
        """SIGTERM in reverse order of the Procfile, copies of one line together."""
        deadlines: dict[str, float] = {}
        for kind in reversed(dict.fromkeys(process.kind for process in self._processes)):
            copies = [process for process in self._processes if process.kind == kind and process.pid is not None]
            for process in copies:
                deadlines[process.name] = time.monotonic() + self._grace
                if process.child:
                    process.child.send_signal(signal.SIGTERM)
                    process.child.send_signal(signal.SIGCONT)  # a stopped process would not hear the first
            patience = time.monotonic() + LINE_SECONDS
            for process in copies:
                process.ended.wait(max(0.0, patience - time.monotonic()))
        for process in self._processes:
            if process.child is None or process.name not in deadlines:
                continue
            if not process.ended.wait(max(0.0, deadlines[process.name] - time.monotonic())):
                self._on_line(process.name, f"[killed: it did not end within {self._grace:.0f} s]")
                _send_group(process.child, signal.SIGKILL)
            process.ended.wait()


def _send_group(child: "subprocess.Popen[bytes]", sign: signal.Signals) -> None:
    """Signal a process and all that it forked: it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, sign)


def _status(returncode: int) -> str:
    return f"status {returncode}" if returncode >= 0 else f"killed by {signal.Signals(-returncode).name}"


def _obituary(process: Process, said: str) -> str:
    return "\n  ".join([f"{said}; its last lines:", *process.last_lines])
