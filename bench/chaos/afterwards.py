"""What clients and processes say after a fault: the first accepted job, and late messages of a read-only server."""

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from bench.chaos.client import Submission

LATE_SECONDS = 10.0  # from the end of a fault until no process may meet a read-only server any more
READ_ONLY = re.compile(rb"25006|read-only transaction")
LOGGED = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")


def first_accepted(submissions: Iterable[Submission], moment: float) -> float | None:
    """Return the seconds from `moment` (Unix time) to the first 202 for a job that was sent first after `moment`; None
    if there is none."""
    times = [s.accepted for s in submissions if s.accepted is not None and s.began > moment]
    return round(min(times) - moment, 2) if times else None


def read_only_lines(logs: Iterable[Path], moment: float) -> int:
    """Count the lines of the processes' logs that name a read-only server and are later than LATE_SECONDS after
    `moment` (Unix time)."""
    return sum(
        logged.timestamp() > moment + LATE_SECONDS
        for log in logs
        for line in log.read_bytes().splitlines()
        if READ_ONLY.search(line) and (logged := _time_of(line))
    )


def _time_of(line: bytes) -> datetime | None:
    """Return the time of a log line; None if the line has none, as those of a traceback."""
    found = LOGGED.search(line)
    return datetime.strptime(found[0].decode(), "%Y-%m-%d %H:%M:%S,%f").astimezone() if found else None
