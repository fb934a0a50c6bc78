"""Reports processes whose regions file differs from the API's: logs each one once, and sets a gauge to their number."""

import logging

from runner_core.db import Database, retried
from runner_core.queries import Row
from runner_core.store import regions_files
from runner_core.telemetry import OTHER_REGIONS_FILE

log = logging.getLogger("publisher")


class RegionsFiles:
    """Keeps the processes that were logged."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._told: set[str] = set()

    def refresh(self) -> None:
        """Compare the files once."""
        found = _differing(self._db)
        for process in found:
            if process["id"] not in self._told:
                log.warning("%s", regions_files.sentence(process))
        self._told = {process["id"] for process in found}
        OTHER_REGIONS_FILE.set(len(found))


@retried
def _differing(db: Database) -> list[Row]:
    with db.transaction() as conn:
        return regions_files.differing(conn)
