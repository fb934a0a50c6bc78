"""Measures the memory per call in flight: one worker process, and a provider that takes half a second."""

import time
from dataclasses import dataclass
from statistics import median

from bench import measure, statements
from bench.system import System, stop
from bench.testbed import Testbed

CALL_SECONDS = 0.5
SATURATED = 0.9
PATIENCE_SECONDS = 25.0
SAMPLES = 4


@dataclass(frozen=True)
class Memory:
    """The PSS (`mb`) of `processes` processes while `calls` were in flight."""

    calls: float
    mb: float
    processes: int

    @property
    def mb_per_call(self) -> float:
        return self.mb / self.calls


def run(testbed: Testbed, system: System, width: int) -> Memory:
    """Keep `width` calls in flight, or as many as the system can, and measure the workers' memory.

    Raises TimeoutError if the system never has a call in flight.
    """
    testbed.empty()
    system.fill(testbed, width * 10 if system.wide else width * 40)
    workers = system.start(testbed, 1, CALL_SECONDS, width)
    pids = [worker.pid for worker in workers]
    looks: list[tuple[int, float]] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while sum(calls >= SATURATED * width for calls, _ in looks) < SAMPLES and time.monotonic() < deadline:
            if calls := testbed.value(statements.for_psycopg("in_flight")):
                looks.append((calls, measure.pss_mb(pids)))
            time.sleep(0.3)
        processes = len(measure.tree(pids))
    finally:
        stop(workers)
    if not looks:
        raise TimeoutError(f"{system.name} has no call in flight after {PATIENCE_SECONDS:.0f} s")
    looks = sorted(looks)[-SAMPLES:]
    return Memory(median(calls for calls, _ in looks), median(mb for _, mb in looks), processes)
