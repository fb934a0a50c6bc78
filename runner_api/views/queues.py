"""The queue of each region: how many of its runs wait and run, and how many workers it has."""

from collections.abc import Iterable, Mapping
from typing import Any

from runner_api.views import Row
from runner_core.message import topic

IDLE = {"depth": 0, "running": 0, "oldest_seconds": None}


def queues(regions: Iterable[str], open_runs: Iterable[Row], workers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the queue of each region in turn. `open_runs` are the rows of reads.queues, `workers` the live ones."""
    found = {row["region"]: row for row in open_runs}
    return [
        {"region": name, "queue": topic(name), **IDLE, **found.get(name, {}), "workers": workers.get(name, 0)}
        for name in regions
    ]
