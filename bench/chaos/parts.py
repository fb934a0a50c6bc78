"""A long run in parts: stacks side by side, each a process of its own that runs one seeded part after the other.

The parts share nothing. One that ends early, by whatever, leaves the others as they are; its ledger is missing then.
"""

import math
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.chaos.storm import BEGUN, tell
from runner_cli.child import spawn
from runner_cli.home import CHECKOUT

LONGEST_SECONDS = 40 * 60.0
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Part:
    """What one process does: faults for so many seconds. Its files are named by `stem`."""

    seed: int
    seconds: float
    stem: Path

    @property
    def ledger(self) -> Path:
        """Where it leaves what it found."""
        return self.stem.with_suffix(".json")


def plan(hours: float, stacks: int, seed: int, stem: Path) -> list[list[Part]]:
    """The parts of each stack, as long as one another and at most 40 minutes, each with a seed of its own."""
    rounds = max(1, math.ceil(hours * 3600 / LONGEST_SECONDS))
    seconds = hours * 3600 / rounds
    return [
        [
            Part(number, seconds, stem.with_name(f"{stem.name}-{number}"))
            for number in range(seed + stack, seed + stack + rounds * stacks, stacks)
        ]
        for stack in range(stacks)
    ]


def run(planned: Sequence[Sequence[Part]], options: Sequence[str]) -> list[Part]:
    """Run every part with `options`; those that left no ledger. A Ctrl-C ends every stack in order, then raises."""
    for part in (part for parts in planned for part in parts):
        part.stem.parent.mkdir(parents=True, exist_ok=True)
        part.ledger.unlink(missing_ok=True)  # an earlier run's
    lanes = [_Lane(parts, options) for parts in planned]
    try:
        for lane in lanes:
            lane.start()
            while not lane.ready.wait(LOOK_SECONDS):  # stacks that start at the same time take each other's processor
                pass
        for lane in lanes:
            while not lane.ended.wait(LOOK_SECONDS):  # a signal that interrupts Thread.join makes it believe the end
                pass
    except KeyboardInterrupt:
        for lane in lanes:
            lane.stop()
        for lane in lanes:
            if lane.ident is not None:
                lane.ended.wait()
        raise
    return [part for lane in lanes for part in lane.parts if not part.ledger.exists()]


class _Lane(threading.Thread):
    """One stack after the other. `ready` is set when its first one takes jobs, or has ended."""

    def __init__(self, parts: Sequence[Part], options: Sequence[str]) -> None:
        super().__init__(name=f"parts from {parts[0].seed}", daemon=True)
        self.parts = parts
        self.ready, self.ended = threading.Event(), threading.Event()
        self._options = options
        self._lock = threading.Lock()
        self._stopped = False
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        try:
            self._run()
        finally:
            self.ready.set()
            self.ended.set()

    def _run(self) -> None:
        for part in self.parts:
            if not self._begin(part):
                break
            with part.stem.with_suffix(".log").open("wb") as log:
                status = self._follow(log)
            tell(f"seed {part.seed} ended with status {status}; {part.stem.with_suffix('.log')}")

    def stop(self) -> None:
        """End the stack that runs, and begin no other."""
        with self._lock:
            self._stopped = True
            if self._child is not None and self._child.poll() is None:
                self._child.send_signal(signal.SIGTERM)  # in a background job SIGINT may be ignored

    def _begin(self, part: Part) -> bool:
        own = ["--seed", str(part.seed), "--hours", str(part.seconds / 3600), "--ledger", str(part.ledger)]
        with self._lock:
            if not self._stopped:
                self._child = spawn(
                    [sys.executable, "-m", "bench.chaos", *own, *self._options],
                    death_signal=signal.SIGTERM,
                    cwd=CHECKOUT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                tell(f"seed {part.seed} begins, for {part.seconds / 60:.1f} minutes")
            return not self._stopped

    def _follow(self, log: IO[bytes]) -> int:
        assert self._child is not None
        assert self._child.stdout is not None
        with self._child.stdout as said:
            for line in said:
                log.write(line)
                log.flush()
                if BEGUN.encode() in line:
                    self.ready.set()
        return self._child.wait()
