"""The page that lists jobs."""

import re
from typing import Any

from flask import request, url_for
from werkzeug.wrappers import Response

from runner_api.http.paging import cursor, next_cursor
from runner_api.http.services import services
from runner_api.portal import first_job
from runner_api.portal.blueprint import blueprint, go_to, page
from runner_core import queries
from runner_core.limits import MAX_COUNTED_BY_STATUS, MAX_SEARCHED
from runner_core.queries import Row
from runner_core.statuses import JOB_STATUSES, in_order, verdict
from runner_core.store.jobs import listed

PAGE = 50
_PART = re.compile(r"[A-Za-z0-9._:-]{1,255}", re.ASCII)


@blueprint.get("/")
def jobs() -> Response:
    """List jobs: all, those of one status, or those with a text in their id."""
    wanted = request.args.get("q", "").strip()
    status = request.args.get("status", "")
    status = status if status in JOB_STATUSES else ""
    older = bool(request.args.get("cursor"))
    before = cursor()
    with services().db.transaction() as conn:
        by_status = queries.rows(conn, "portal.counts", most=MAX_COUNTED_BY_STATUS)
        if _PART.fullmatch(wanted):
            found = queries.rows(conn, "portal.search", wanted=wanted, page=PAGE + 1, newest=MAX_SEARCHED)
        elif wanted:
            found = []
        else:
            found = listed(conn, status or None, before, PAGE + 1, progress=True)
    if len(found) == 1 and found[0]["id"] == wanted:
        return go_to(url_for("portal.job", job_id=wanted))
    more = len(found) > PAGE
    return page(
        "jobs.html",
        rows=[_listed(row) for row in found[:PAGE]],
        counts={row["status"]: row["jobs"] for row in by_status},
        most=MAX_COUNTED_BY_STATUS,
        searched=MAX_SEARCHED,
        only=status,
        wanted=wanted,
        older=older,
        more=more,
        steps=[] if found else first_job.steps(services().catalogue),
        next_cursor=next_cursor(found[PAGE - 1]) if more and not wanted else None,
    )


def _listed(row: Row) -> dict[str, Any]:
    models = dict.fromkeys(model for region in row["plan"].values() for model in region)
    shown = {**row, **row["units"], "regions": in_order(row["plan"]), "models": list(models)}
    shown["verdict"] = verdict(row["status"], row["cross_status"])
    return shown
