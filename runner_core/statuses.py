"""The statuses of jobs, regions and calls, the one word for a job, and the order in which regions are shown."""

from collections.abc import Iterable
from typing import Literal, get_args

JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
CrossStatus = Literal["running", "completed", "partial", "failed", "cancelled"]
ResultStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
RegionStatus = Literal["pending", "running", "success", "failed", "timeout", "cancelled"]

JOB_STATUSES: tuple[str, ...] = get_args(JobStatus)
ENDED = ("completed", "failed", "cancelled")
# A process beats every five seconds; one that has been silent for longer counts as gone, everywhere.
ALIVE_SECONDS = 20
FIRST_REGIONS = ("US", "EU", "ASIA")

# Each status that is stored under another word than the one that people read.
_READ_AS = {"success": "completed", "ok": "completed", "started": "running", "timeout": "failed"}
# A region's own words are the contract's, so people read them too; only their sign is another status's.
_SIGN_ONLY = ("success", "timeout")


def sign(status: str) -> str:
    """Return the status whose colour and shape a status is shown with."""
    return _READ_AS.get(status, status)


def word(status: str) -> str:
    """Return the word that people read for a status."""
    return status if status in _SIGN_ONLY else sign(status)


def verdict(status: str, across: str | None) -> str:
    """Return the one word for a job: its status, but `partial` where it completed in too few regions."""
    return "partial" if status == "completed" and across == "partial" else status


def in_order(regions: Iterable[str]) -> list[str]:
    """Return the regions with those that every deployment has first, then the others by name."""
    first = {name: place for place, name in enumerate(FIRST_REGIONS)}
    return sorted(regions, key=lambda name: (first.get(name, len(first)), name))
