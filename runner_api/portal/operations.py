"""The page for operations: queues, workers and what they hold, stuck jobs, dead messages, what ended lately."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from flask import request, url_for
from psycopg import Connection
from werkzeug.wrappers import Response

from runner_api.http.paging import number
from runner_api.http.services import services
from runner_api.http.wire import utc
from runner_api.portal.blueprint import blueprint, page
from runner_api.views import charts, stuck
from runner_api.views.intervals import SPLITS, WINDOWS, intervals
from runner_api.views.provider_states import name_prefix, provider_states
from runner_api.views.queues import queues
from runner_core import queries
from runner_core.errors import SpecError
from runner_core.limits import MAX_COUNTED, MAX_COUNTED_UNITS
from runner_core.queries import Row
from runner_core.statuses import ALIVE_SECONDS, in_order
from runner_core.store import jobs, regions_files

SHOWN = 50
RUNS_SHOWN = 4  # of each worker
EXPLAINED = 5  # stuck jobs: each takes two or three statements
UNITS_SHOWN = 200
DAY_MINUTES = 24 * 60


@blueprint.get("/operations")
def operations() -> Response:
    """Show the state of the whole system."""
    service = services()
    window = WINDOWS.get(request.args.get("last", ""), WINDOWS["1h"])
    split = request.args.get("by", "")
    split = split if split in SPLITS else ""
    with service.db.transaction() as conn:
        outbox = queries.single(conn, "metrics.outbox", most=MAX_COUNTED)
        waiting, dead = queries.rows(conn, "reads.outbox", page=1), queries.rows(conn, "reads.dead", page=SHOWN)
        open_runs = queries.rows(conn, "reads.queues")
        processes = queries.rows(conn, "reads.processes", alive_seconds=ALIVE_SECONDS)
        held = queries.rows(conn, "portal.held", few=RUNS_SHOWN)
        other_file = {row["id"] for row in regions_files.differing(conn)}
        late = jobs.late(conn, service.settings.jobs.overdue_grace_seconds, SHOWN)
        why = [_explained(conn, row, processes) for row in late[:EXPLAINED]]
        ended = intervals(
            queries.rows(
                conn,
                "portal.intervals",
                hours=window.hours,
                minutes=window.minutes,
                most_counted=MAX_COUNTED_UNITS,
                most_read=window.most,
                split=split or None,
            ),
            MAX_COUNTED_UNITS,
        )
    regions = in_order({*service.catalogue.regions, *(row["region"] for row in open_runs)})
    workers = Counter(
        row["region"] for row in processes if row["kind"] == "worker" and row["seconds_since"] < ALIVE_SECONDS
    )
    link = partial(_units, minutes=window.minutes)
    return page(
        "operations.html",
        outbox=outbox,
        oldest=waiting[0]["job_id"] if waiting else None,
        dead=dead,
        queues=queues(regions, open_runs, workers),
        workers=[_with_runs(row, held) for row in processes if row["kind"] != "cli"],
        other_file=other_file,
        providers=provider_states(processes),
        now=datetime.now(UTC),
        stuck=why + [stuck.listed(row) for row in late[EXPLAINED:]],
        shown=SHOWN,
        window=window,
        windows=WINDOWS,
        split=split,
        splits=SPLITS,
        throughput=charts.throughput(window, ended, link),
        latency=charts.latency(window, ended, link),
        left_out=charts.names_of(ended)[charts.MOST_LINES :],
        sampled=any(one.read < one.units for one in ended),
        ended=sum(one.units for one in ended),
        failed=sum(one.failed for one in ended),
        all_ended=_units(ended[0].at, minutes=window.hours * 60) if ended else None,
        silent=ALIVE_SECONDS,
        counted=MAX_COUNTED,
        most_units=MAX_COUNTED_UNITS,
        capped=any(one.capped for one in ended),
    )


@blueprint.get("/operations/units")
def ended_units() -> Response:
    """List the units that ended in an interval: `at`, a time, in UTC unless it names a zone, and `minutes`."""
    minutes = number("minutes", 1, 1, DAY_MINUTES)
    try:
        at = utc(request.args.get("at", ""))
        until = at + timedelta(minutes=minutes)
    except (ValueError, OverflowError):
        raise SpecError(detail="at must be a time, such as 2026-11-27T12:05:00Z.") from None
    with services().db.transaction() as conn:
        rows = queries.rows(conn, "portal.ended", after=at, until=until, page=UNITS_SHOWN + 1)
    return page(
        "ended_units.html",
        began=at,
        until=until,
        rows=rows[:UNITS_SHOWN],
        more=len(rows) > UNITS_SHOWN,
        minutes=minutes,
    )


def _units(at: datetime, minutes: int) -> str:
    return url_for("portal.ended_units", at=f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}", minutes=minutes)


def _explained(conn: Connection[Any], late: Row, processes: list[Row]) -> stuck.Stuck:
    """Return a stuck job with the reasons that its page tells."""
    job = queries.row(conn, "reads.job", job_id=late["id"])
    if job is None:  # removed since
        return stuck.listed(late)
    regions = queries.rows(conn, "portal.regions", job_id=late["id"])
    asked = any(region["status"] == "running" for region in regions)
    rows = queries.rows(conn, "portal.calls", job_id=late["id"], characters=0) if asked else []
    return stuck.explained(late, job, regions, rows, processes)


def _with_runs(process: Row, held: list[Row]) -> dict[str, Any]:
    """Return a process with the region runs that it holds."""
    name = name_prefix(process)
    runs = [row for row in held if process["kind"] == "worker" and (row["worker"] or "").startswith(name)]
    return {**process, "runs": runs, "more": sum({row["worker"]: row["held"] for row in runs}.values()) - len(runs)}
