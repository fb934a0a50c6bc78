"""Finds processes whose regions file differs from the API's: they may lack models or providers of the API's plans."""

from typing import Any

from psycopg import Connection

from runner_core.queries import Row, rows
from runner_core.statuses import ALIVE_SECONDS


def differing(conn: Connection[Any]) -> list[Row]:
    """Return id, kind, region, host and pid of each live process whose file differs from the API's."""
    return rows(conn, "processes.other_regions_file", alive_seconds=ALIVE_SECONDS)


def sentence(process: Row) -> str:
    """Return a sentence that names the process, and says how to mend this."""
    name = f"{process['kind']} {process['region']}" if process["region"] else process["kind"]
    return (
        f"{name} (host {process['host']}, pid {process['pid']}) has another regions file than the API: give every "
        "process the same REGIONS_FILE and restart it"
    )
