"""The page for operations: queues, workers and what they hold, stuck jobs, dead messages, the last hour."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.views import charts
from runner_api.views.provider_states import name_prefix, provider_states
from runner_api.views.queues import queues
from runner_core import queries
from runner_core.limits import MAX_COUNTED
from runner_core.queries import Row
from runner_core.statuses import ALIVE_SECONDS, in_order
from runner_core.store import jobs, regions_files

SHOWN = 50
RUNS_SHOWN = 4  # of each worker


@blueprint.get("/operations")
def operations() -> Response:
    """Show the state of the whole system."""
    service = services()
    with service.db.transaction() as conn:
        outbox = queries.single(conn, "metrics.outbox", most=MAX_COUNTED)
        waiting, dead = queries.rows(conn, "reads.outbox", page=5), queries.rows(conn, "reads.dead", page=SHOWN)
        open_runs = queries.rows(conn, "reads.queues")
        processes = queries.rows(conn, "reads.processes", alive_seconds=ALIVE_SECONDS)
        held = queries.rows(conn, "portal.held", few=RUNS_SHOWN)
        other_file = {row["id"] for row in regions_files.differing(conn)}
        stuck = jobs.late(conn, service.settings.jobs.overdue_grace_seconds, SHOWN)
        minutes = queries.rows(conn, "portal.hour")
    regions = in_order({*service.catalogue.regions, *(row["region"] for row in open_runs)})
    workers = Counter(
        row["region"] for row in processes if row["kind"] == "worker" and row["seconds_since"] < ALIVE_SECONDS
    )
    return page(
        "operations.html",
        outbox=outbox,
        waiting=waiting,
        dead=dead,
        queues=queues(regions, open_runs, workers),
        workers=[_with_runs(row, held) for row in processes if row["kind"] != "cli"],
        other_file=other_file,
        providers=provider_states(processes),
        now=datetime.now(UTC),
        stuck=stuck,
        shown=SHOWN,
        throughput=charts.throughput(minutes),
        latency=charts.latency(minutes),
        ended={name: sum(row[name] for row in minutes) for name in ("completed", "failed")},
        silent=ALIVE_SECONDS,
        counted=MAX_COUNTED,
    )


def _with_runs(process: Row, held: list[Row]) -> dict[str, Any]:
    """Return a process with the region runs that it holds."""
    name = name_prefix(process)
    runs = [row for row in held if process["kind"] == "worker" and (row["worker"] or "").startswith(name)]
    return {**process, "runs": runs, "more": sum({row["worker"]: row["held"] for row in runs}.values()) - len(runs)}
