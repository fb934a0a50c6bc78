"""The results of the publisher's transactions, with their log lines and metrics.

The functions of relay.py and sweep.py return these results and do not log or count. Call `report` after the commit.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner_core.endings import Endings
from runner_core.queries import Row
from runner_core.telemetry import LEASES_EXPIRED, OUTBOX_PUBLISH_ERRORS, OUTBOX_PUBLISHED, REGIONS_STAGED, about

log = logging.getLogger("publisher")
sweeper_log = logging.getLogger("sweeper")


@dataclass(frozen=True)
class Published:
    """The result of one transaction B. `sent`: the outbox rows that were pushed, each with its dispatch id. `failed`:
    the rows that could not be pushed, with their attempts and `dead_at`."""

    sent: Sequence[tuple[Row, str]] = ()
    failed: Sequence[Row] = ()

    @property
    def claimed(self) -> int:
        """Return the number of claimed rows."""
        return len(self.sent) + len(self.failed)

    def report(self) -> None:
        """Log each row, and count the published and the failed rows."""
        for row in self.failed:
            log.warning(
                "outbox row failed job_id=%s id=%d attempts=%d dead=%s",
                *(row["job_id"], row["id"], row["attempts"], bool(row["dead_at"])),
                extra=about(row["traceparent"], job_id=row["job_id"]),
            )
        for row, dispatch_id in self.sent:
            log.info(
                "published job_id=%s topic=%s dispatch_id=%s",
                *(row["job_id"], row["topic"], dispatch_id),
                extra=about(row["traceparent"], job_id=row["job_id"]),
            )
        OUTBOX_PUBLISHED.inc(len(self.sent))
        OUTBOX_PUBLISH_ERRORS.inc(len(self.failed))


@dataclass(frozen=True)
class Swept:
    """The result of one transaction of the sweeper. `staged`: the regions that were staged again; `doomed`: those that
    were ended; `leases`: the number of expired leases; `job_ids`: the jobs of all of these."""

    staged: Sequence[tuple[str, str, str]] = ()  # job, region, reason
    doomed: Sequence[Row] = ()
    leases: int = 0
    job_ids: frozenset[str] = frozenset()
    ended: Endings = field(default_factory=lambda: Endings([], []))

    def report(self) -> None:
        """Log and count the changes."""
        for region in self.doomed:
            sweeper_log.warning(
                "region ended job_id=%s region=%s code=%s",
                *(region["job_id"], region["region"], region["code"]),
                extra=about(region["traceparent"], job_id=region["job_id"]),
            )
        LEASES_EXPIRED.inc(self.leases)
        for reason in {reason for _, _, reason in self.staged}:
            count = sum(staged[2] == reason for staged in self.staged)
            REGIONS_STAGED.labels(reason).inc(count)
            if reason == "message_lost":
                sweeper_log.warning("staged %d regions whose message was lost", count)
        self.ended.report()
