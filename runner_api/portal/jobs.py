"""The page that lists jobs."""

from flask import request, url_for
from werkzeug.wrappers import Response

from runner_api.http import job_filters
from runner_api.http.paging import as_cursor, cursor
from runner_api.http.services import services
from runner_api.portal import first_job
from runner_api.portal.blueprint import blueprint, go_to, page, visitor
from runner_api.views import job_list
from runner_api.views.words import Exact
from runner_core import queries
from runner_core.limits import MAX_COUNTED_BY_STATUS, MAX_ENDED, MAX_LOOKED
from runner_core.statuses import JOB_STATES
from runner_core.store import job_lists
from runner_core.store.job_lists import Filters

PAGE = 50
SINCE = ("1h", "6h", "24h", "7d", "30d")


@blueprint.get("/")
def jobs() -> Response:
    """List jobs: all, or those that the filters of the address want."""
    kept, filters = job_filters.shown(request.args)
    older = bool(request.args.get("cursor"))
    before = cursor()
    with services().db.transaction() as conn:
        by_state = queries.rows(conn, "portal.counts", most=MAX_COUNTED_BY_STATUS)
        ended = queries.rows(conn, "lists.ended", most=MAX_ENDED)
        if kept:
            found = job_lists.find(conn, filters, before, PAGE, progress=True)
        else:
            found = job_lists.plain(conn, None, before, PAGE, progress=True)
    if (named := _only(filters, found)) and not older and kept.keys() == {"q"}:
        return go_to(url_for("portal.job", job_id=named))
    reader = visitor()
    return page(
        "jobs.html",
        rows=[job_list.listed(row) for row in found.jobs],
        counts={row["state"]: row["jobs"] for row in by_state},
        states=JOB_STATES,
        most=MAX_COUNTED_BY_STATUS,
        hour=job_list.hour(ended),
        kept={name: Exact(text) for name, text in kept.items()},
        chips=[(name, words, _without(kept, name)) for name, words in job_list.remarks(kept)],
        without_status=_without(kept, "status"),
        models=list(services().catalogue.models),
        since=SINCE,
        older=older,
        looked=MAX_LOOKED if found.looked else 0,
        steps=[] if found.jobs or kept or older else first_job.steps(services().catalogue),
        next_cursor=as_cursor(found.next) if found.next else None,
        may_act=reader is not None and reader.administrator,
    )


def _only(filters: Filters, found: job_lists.Found) -> str | None:
    """Return the job with the id that is searched for, or the only one that was found if its id begins so."""
    if any(row["id"] == filters.wanted for row in found.jobs):
        return filters.wanted
    if len(found.jobs) != 1 or found.next or not filters.wanted:
        return None
    job_id: str = found.jobs[0]["id"]
    return job_id if job_id.startswith(tuple(filters.beginnings)) else None


def _without(kept: dict[str, str], name: str) -> dict[str, str]:
    return {other: text for other, text in kept.items() if other != name}
