"""Divides a long run into parts. Several stacks run side by side, and each stack runs one seeded part after another.

Each part is a process. The parts share nothing: if one fails, the others continue, and only its ledger is missing.
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
    """One process that causes faults for `seconds`. The names of its files begin with `stem`."""

    seed: int
    seconds: float
    stem: Path

    @property
    def ledger(self) -> Path:
        """Return the path of the part's ledger."""
        return self.stem.with_suffix(".json")


def plan(hours: float, stacks: int, seed: int, stem: Path) -> list[list[Part]]:
    """Return the parts of each stack: of equal length, at most 40 minutes, each with its own seed."""
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
    """Run every part with `options`; return the parts without a ledger. Ctrl-C stops every stack, then raises."""
    for part in (part for parts in planned for part in parts):
        part.stem.parent.mkdir(parents=True, exist_ok=True)
        part.ledger.unlink(missing_ok=True)  # of an earlier run
    lanes = [_Lane(parts, options) for parts in planned]
    try:
        for lane in lanes:
            lane.start()
            while not lane.ready.wait(LOOK_SECONDS):  # stacks that start at the same time slow each other down
                pass
        for lane in lanes:
            while not lane.ended.wait(LOOK_SECONDS):  # after a signal Thread.join may return too early
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
    """Runs one part after the other. `ready` is set when the first stack takes jobs or has ended."""

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
        """Stop the running part, and start no other."""
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
