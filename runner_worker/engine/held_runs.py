"""The region runs that a worker process holds now."""

import asyncio

from runner_core import telemetry
from runner_worker.engine.runs import Run


class HeldRuns:
    """The runs of the engine with their tasks. The engine's event loop writes; any thread may call `all`."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[Run, asyncio.Task[None]]] = {}  # by token; a loop holds its tasks only weakly
        self.none = asyncio.Event()  # set while no run is held
        self.none.set()

    def all(self) -> list[Run]:
        """Return the runs, the oldest first."""
        return [run for run, _ in list(self._runs.values())]

    def add(self, run: Run, task: asyncio.Task[None]) -> None:
        """Hold a run and the task that carries it out."""
        self._runs[run.token] = run, task
        self._count()

    def remove(self, run: Run) -> None:
        """Drop a run that has ended in this process."""
        del self._runs[run.token]
        self._count()

    def _count(self) -> None:
        telemetry.RUNS_IN_FLIGHT.set(len(self._runs))
        if self._runs:
            self.none.clear()
        else:
            self.none.set()
