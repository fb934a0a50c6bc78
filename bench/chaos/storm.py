"""Injects faults in a seeded order while the client submits, and measures the recovery from each one."""

import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

from bench.chaos.faults import Fault
from bench.chaos.scene import NothingInFlight, Scene

LOOK_SECONDS = 0.2
BEGUN = "faults begin"  # a run prints it when its stack takes jobs


@dataclass
class Injection:
    """One fault, caused once. Times are Unix seconds. The recovery lasts from `moment` to `recovered`."""

    fault: Fault
    caused: float
    moment: float
    recovered: float | None = None
    missed: str = ""  # why it proves nothing

    @property
    def recovery_seconds(self) -> float | None:
        """Return the seconds of the recovery; None: it lasted to the end of the run."""
        return None if self.recovered is None else max(0.0, self.recovered - self.moment)


def schedule(faults: Sequence[Fault], rounds: int, seed: int, is_over: Callable[[], bool]) -> Iterator[Fault]:
    """Yield every fault once a round. The order of each round follows from `seed`.

    After `rounds` rounds, continue until `is_over` returns True."""
    dice = random.Random(f"schedule {seed}")
    for number in itertools.count(1):
        for fault in dice.sample(list(faults), len(faults)):
            if number > rounds and is_over():
                return
            yield fault


def inject(scene: Scene, fault: Fault, patience_seconds: float) -> Injection:
    """Cause one fault, end it after its time, and wait for the recovery, at most `patience_seconds`."""
    caused = time.time()
    try:
        lift = fault.cause(scene)
    except NothingInFlight as error:
        return Injection(fault, caused, caused, missed=str(error))
    injection = Injection(fault, scene.struck, scene.struck)
    time.sleep(fault.seconds)
    if lift:
        lift()
    if fault.from_end:
        injection.moment = time.time()
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        try:
            measure(scene, injection)
        except psycopg.OperationalError:
            continue
        if injection.recovered:
            break
    return injection


def measure(scene: Scene, injection: Injection) -> None:
    """Set `recovered` if every region run that was open at the moment has finished and a later job has completed.

    The times are from the database, which uses this machine's clock.
    """
    row = scene.deployment.ask(RECOVERY, *[injection.moment] * 4)[0]
    if not row["still_open"] and row["later_job"] is not None:
        injection.recovered = max(row["last_finished"] or injection.moment, row["later_job"])


def wait_for_quiet(scene: Scene, seconds: float) -> bool:
    """Wait until no region is open; return False if one still is after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not scene.deployment.open_regions():
            return True
        time.sleep(LOOK_SECONDS)
    return False


def tell(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


RECOVERY = """
WITH affected AS (
  SELECT r.finished_at
    FROM jobs j CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
    LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
   WHERE j.created_at <= to_timestamp(%s) AND (j.completed_at IS NULL OR j.completed_at > to_timestamp(%s))
     AND (r.finished_at IS NULL OR r.finished_at > to_timestamp(%s))
)
SELECT count(*) FILTER (WHERE finished_at IS NULL) AS still_open,
       extract(epoch FROM max(finished_at))::double precision AS last_finished,
       (SELECT extract(epoch FROM min(completed_at))::double precision FROM jobs
         WHERE created_at > to_timestamp(%s) AND completed_at IS NOT NULL) AS later_job
  FROM affected"""
