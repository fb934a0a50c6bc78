"""When the loops of a process last turned and whether they succeeded: what /health/live and /health/ready answer.

A loop says so itself, in memory. Nothing asks a server when a probe comes.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.sqlstate import sqlstate


def problem_of(error: BaseException) -> str:
    """Return a sentence about why a turn failed, without an address: anybody may read it."""
    if isinstance(error, (psycopg.Error, PoolTimeout)):
        return f"PostgreSQL refused or did not answer (SQLSTATE {sqlstate(error)})"
    return f"{type(error).__name__}: see this process's log"


@dataclass
class Loop:
    """One loop of a process. The loop's own thread writes, any thread reads.

    `turned_at`: the time.monotonic() of the last turn or progress, whether or not the turn succeeded. `problem`: why
    the last turn failed, empty if the turn succeeded. `has_turned`: whether a turn has ended. `rests`: whether the loop
    waits for work without a time limit, so that it need not turn.
    """

    name: str
    turned_at: float = field(default_factory=time.monotonic)
    problem: str = ""
    has_turned: bool = False
    rests: bool = False

    def turned(self, problem: str = "") -> None:
        """Note the end of a turn. `problem` says why the turn failed."""
        self.problem = problem
        self.has_turned = True
        self.turned_at = time.monotonic()

    def progressed(self) -> None:
        """Note progress within a long turn. Whether the turn succeeds is not known yet."""
        self.turned_at = time.monotonic()

    def rest(self) -> None:
        """Note that there is no work: the loop need not turn until `wake`."""
        self.rests = self.has_turned = True

    def wake(self) -> None:
        """Note that there is work: the loop must turn from now on."""
        self.turned_at, self.rests = time.monotonic(), False


class LoopHealth:
    """The loops of one process. A loop that has not turned for `stall_seconds` is stalled.

    Until `all_added` the process is still starting: it is not ready, though the loops that are there may all have
    turned. Without a loop it is alive, because the start has a limit of its own (PROBE_SECONDS).
    """

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._loops: list[Loop] = []
        self._complete = False
        self._stopping = False

    def add(self, name: str) -> Loop:
        """Return a new loop, which must turn from now on."""
        loop = Loop(name)
        self._loops = [*self._loops, loop]
        return loop

    def all_added(self) -> None:
        """Note that no other loop will be added: the process is ready as soon as each has turned."""
        self._complete = True

    def stop(self) -> None:
        """Note that the process ends. Its loops need not turn any more: STOP_GRACE_SECONDS limits the end."""
        self._stopping = True

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Return whether every loop turns, and the answer of /health/live."""
        stalled = not self._stopping and any(self._is_stalled(loop) for loop in self._loops)
        return not stalled, self._answer("stalled" if stalled else "alive")

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether every loop turns and its last turn succeeded, and the answer of /health/ready."""
        alive, _ = self.live()
        if self._stopping:
            status = "stopping"
        elif not self._complete or not all(loop.has_turned for loop in self._loops):
            status = "starting"
        elif not alive or any(loop.problem for loop in self._loops):
            status = "not_ready"
        else:
            status = "ready"
        return status == "ready", self._answer(status)

    def _answer(self, status: str) -> dict[str, Any]:
        loops = [
            {"name": loop.name, "seconds_since_turn": round(self._age(loop), 1), "problem": loop.problem}
            for loop in self._loops
        ]
        return {"status": status, "loops": loops}

    def _is_stalled(self, loop: Loop) -> bool:
        return not loop.rests and self._age(loop) >= self._stall_seconds

    @staticmethod
    def _age(loop: Loop) -> float:
        return 0.0 if loop.rests else time.monotonic() - loop.turned_at
