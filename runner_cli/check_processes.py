"""Doctor's look at the live processes: whether all of them read the same regions file."""

from collections.abc import Iterator

import psycopg

from runner_cli.findings import Finding, warning
from runner_core.session import connect, transaction
from runner_core.store import regions_files


def check_processes(url: str) -> Iterator[Finding]:
    """A warning for each process whose regions file differs from the API's."""
    if not url:
        return
    try:
        with connect(url, "doctor") as conn, transaction(conn):
            found = regions_files.differing(conn)
    except psycopg.Error:  # told by the look at the database
        return
    yield from (warning("regions file", regions_files.sentence(process)) for process in found)
