"""The statuses of jobs, regions and calls, the words in which they are shown, and the order of regions."""

from collections.abc import Iterable
from typing import Literal, get_args

JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
CrossStatus = Literal["running", "completed", "partial", "failed", "cancelled"]
ResultStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
RegionStatus = Literal["pending", "running", "success", "failed", "timeout", "cancelled"]

JOB_STATUSES: tuple[str, ...] = get_args(JobStatus)
# What pages and lists show and find jobs by: the state of a job that has completed may be `partial`, see verdict.
JOB_STATES = ("queued", "running", "completed", "partial", "failed", "cancelled")
OPEN = ("queued", "running")
ENDED = ("completed", "failed", "cancelled")
# A process updates its row every five seconds. One that was silent for longer than this counts as gone.
ALIVE_SECONDS = 20
STUCK_SECONDS = 600  # a job that has been queued for longer is stuck
FIRST_REGIONS = ("US", "EU", "ASIA")

# The shown word of each status that is stored under another word.
_READ_AS = {"success": "completed", "ok": "completed", "started": "running", "timeout": "failed"}
# Region statuses that are shown as they are, because clients know them; their colour and shape are another status's.
_SIGN_ONLY = ("success", "timeout")


def sign(status: str) -> str:
    """Return the status whose colour and shape are used for `status`."""
    return _READ_AS.get(status, status)


def word(status: str) -> str:
    """Return the shown word for a status."""
    return status if status in _SIGN_ONLY else sign(status)


def verdict(status: str, across: str | None, failed: int | None = 0) -> str:
    """Return the shown state of a job: its status, or `partial` for one that completed with less than was asked for.

    `across`: `partial` if too few regions succeeded. `failed`: the number of units that failed.
    """
    return "partial" if status == "completed" and (across == "partial" or failed) else status


def in_order(regions: Iterable[str]) -> list[str]:
    """Return the regions in the order of display: the usual ones first, then the others by name."""
    first = {name: place for place, name in enumerate(FIRST_REGIONS)}
    return sorted(regions, key=lambda name: (first.get(name, len(first)), name))
