"""`python -m bench.model.replay TRACES`: checks that the model allows every step of every job."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.model import checker
from bench.model.checker import CheckerError

# The numbers of life.pml, which begins after `submitted`.
TYPES = {
    "region_claimed": 1,
    "region_released": 2,
    "lease_expired": 3,
    "region_staged": 4,
    "execution_recorded": 5,
    "region_finished": 6,
    "cancel_requested": 7,
    "retry_requested": 8,
}
STATUSES = {"running": 1, "completed": 2, "failed": 3, "cancelled": 4}
REASONS = {"released": 1, "lease_expired": 2, "message_lost": 3, "retry": 4}
REGIONS, UNITS = 3, 2
# The checker's bounds, wide, because a trace itself has what happened. A message is lost with the worker that holds it.
WIDE = {"EMPTIED": 0, "RETRIES": 9, "CANCELS": 9, "DEADS": REGIONS, "TIMEOUTS": REGIONS}


class Unfit(Exception):
    """The model can't represent the trace."""


@dataclass(frozen=True)
class Trace:
    """One job's trace without names and times. `steps`: one number for each event, and 0 between transactions."""

    units: tuple[int, ...]  # of each region
    min_regions: int
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Refused:
    """A trace that the model does not allow. `prefix`: the shortest beginning that is not allowed."""

    job_id: str
    prefix: list[str]


def main(argv: list[str] | None = None) -> int:
    """Return 0 if the model allows every trace, 1 if it refuses one, 2 if the checker can't run."""
    parser = argparse.ArgumentParser(
        "python -m bench.model.replay",
        description="Replays the traces of jobs against the model of a region run's life.",
        epilog="exit codes: 0 every trace is allowed, 1 one is not, 2 the checker can't run or there is no trace",
    )
    parser.add_argument("traces", type=Path, help="a file that `python -m bench.chaos --traces FILE` wrote")
    parser.add_argument("--attempts", type=int, default=3, help="REGION_MAX_ATTEMPTS of that run [3]")
    arguments = parser.parse_args(argv)
    if absent := checker.missing():
        print(f"not installed: {', '.join(absent)}; on Debian: apt-get install spin gcc libc6-dev", file=sys.stderr)
        return 2
    try:
        jobs = [json.loads(line) for line in arguments.traces.read_text().splitlines()]
        distinct, refused = replay(jobs, arguments.attempts)
    except (CheckerError, OSError, ValueError, Unfit) as error:
        print(f"the traces could not be replayed: {error}", file=sys.stderr)
        return 2
    for one in refused:
        print(f"REFUSED {one.job_id}: the model allows all but the last of")
        print("\n".join(f"  {line}" for line in one.prefix))
    print(f"{len(jobs)} jobs, {distinct} different traces, {len(refused)} of them refused")
    return 1 if refused else 0 if jobs else 2


def replay(jobs: Iterable[dict[str, Any]], attempts: int) -> tuple[int, list[Refused]]:
    """Return the number of different traces, and the refused ones. Raises CheckerError, Unfit."""
    different: dict[Trace, dict[str, Any]] = {}
    for job in jobs:
        different.setdefault(trace_of(job), job)
    with tempfile.TemporaryDirectory(prefix="beacon-replay-") as home:
        sizes = {"R": REGIONS, "W": REGIONS, "U": UNITS, "A": 1, "AT_ONCE": 1}
        defines = {**sizes, **WIDE, "MAX_ATTEMPTS": attempts, "REPLAY": 1}
        pan = checker.build(Path(home), defines, ["-O1", "-DSAFETY", "-DNOREDUCE"])
        refused = []
        for trace, job in different.items():
            if (reached := _judge(pan, trace)) is not None:
                refused.append(Refused(job["job_id"], list(_words(job, trace, reached))))
    return len(different), refused


def trace_of(job: dict[str, Any]) -> Trace:
    """Return the job's trace in the model's numbers. Regions and models are numbered in alphabetical order."""
    plan = {region: sorted(models) for region, models in sorted(job["plan"].items())}
    if len(plan) > REGIONS or max(map(len, plan.values())) > UNITS:
        raise Unfit(f"{job['job_id']} has more regions or models than the {REGIONS} and {UNITS} of the replay")
    steps: list[int] = []
    for transaction in job["transactions"]:
        codes = [_code(event, plan) for event in transaction if event["type"] != "submitted"]
        steps += [*([0] if steps and codes else []), *codes]
    units = tuple(len(models) for models in plan.values())
    return Trace(units, job["min_regions"], tuple(steps))


def _code(event: dict[str, Any], plan: dict[str, list[str]]) -> int:
    kind, said = event["type"], event["detail"]
    region = list(plan).index(event["region"]) if event["region"] else 0
    unit = plan[event["region"]].index(event["model"]) if event["model"] else 0
    match kind:
        case "region_claimed" | "lease_expired":
            detail = int(said["attempt"])
        case "region_released":
            detail = int(said["call_begun"])
        case "region_staged" if said["reason"] in REASONS:
            detail = REASONS[said["reason"]]
        case "execution_recorded":
            detail = STATUSES[said["status"]]
        case "region_finished" | "cancel_requested" | "retry_requested":
            detail = 0
        case _ if kind.startswith("job_"):
            return ((9 * 4) * 16) * 16 + STATUSES[kind.removeprefix("job_")]
        case _:
            raise Unfit(f"the model has no event {kind} {said}")
    if not 0 <= detail < 16:
        raise Unfit(f"{kind} {said} is beyond the replay")
    return ((TYPES[kind] * 4 + region) * 16 + unit) * 16 + detail


def _judge(pan: Path, trace: Trace) -> int | None:
    """Return None if the model allows the trace, else the number of steps that it allows."""
    file = pan.parent / "trace"
    numbers = (len(trace.units), trace.min_regions, *trace.units, *trace.steps)
    file.write_text(" ".join(map(str, numbers)))
    command = [str(pan), "-E", "-m100000", "-w18"]  # -E: an end before the end of the trace is no error of the model
    done = subprocess.run(
        command, cwd=pan.parent, env={**os.environ, "TRACE": str(file)}, capture_output=True, text=True, check=False
    )
    said = done.stdout.splitlines()
    if "accepted" in said:
        return None
    if "Search not completed" in done.stdout or "too small" in done.stdout or not said:
        raise CheckerError(f"the verifier did not explore the trace: {done.stdout[:300]}")
    return int(said[-1].removeprefix("furthest "))


def _words(job: dict[str, Any], trace: Trace, reached: int) -> Iterator[str]:
    """Yield the events up to the first that is not allowed, with a line between transactions."""
    left = reached - sum(code == 0 for code in trace.steps[:reached]) + 1
    for transaction in job["transactions"]:
        events = [event for event in transaction if event["type"] != "submitted"]
        for event in events[:left]:
            yield " ".join(str(event[name]) for name in ("type", "region", "model", "detail") if event[name])
        left -= len(events)
        if left <= 0:
            return
        yield "--"


if __name__ == "__main__":
    sys.exit(main())
