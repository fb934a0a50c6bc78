"""Install the portal in an application: pages, template filters, error pages."""

import json
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import psycopg
from flask import Flask, Response, g, request
from psycopg_pool import PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from runner_api.http import problems
from runner_api.http.headers import protect
from runner_api.http.services import services
from runner_api.portal import (  # importing a page adds its routes
    analysis_files,  # noqa: F401
    assets,
    changes,  # noqa: F401
    compare,  # noqa: F401
    executions,  # noqa: F401
    export,  # noqa: F401
    job,  # noqa: F401
    jobs,  # noqa: F401
    labelling,  # noqa: F401
    login,  # noqa: F401
    login_link,  # noqa: F401
    operations,  # noqa: F401
    report,  # noqa: F401
    selected,  # noqa: F401
    styleguide,  # noqa: F401
    submit,  # noqa: F401
)
from runner_api.portal.blueprint import RELEASE, LoginNeeded, blueprint, local_path, page, release, to_login, visitor
from runner_api.views import figures, words
from runner_core import __version__
from runner_core.errors import BeaconError

log = logging.getLogger("api.portal")
RETRY_SECONDS = 5  # after which the browser asks again for a page that failed
# Addresses for programs: an error there is a problem document, also for a browser.
FOR_PROGRAMS = ("/api/", "/admin/", "/health", "/metrics")


def install(app: Flask) -> None:
    """Serve the portal's pages under `/`."""
    app.register_error_handler(HTTPException, _http)
    app.register_blueprint(blueprint)
    app.jinja_env.filters.update(words.FILTERS | figures.FILTERS)
    app.jinja_env.globals["asset"] = assets.address
    app.jinja_env.globals["release_header"] = json.dumps({RELEASE: release()})
    app.jinja_env.finalize = words.shown
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: _shared(app))


def _shared(app: Flask) -> dict[str, Any]:
    settings = services().settings
    return {
        "visitor": visitor(),
        "can_log_in": bool(settings.api.admin_tokens or settings.api.read_tokens),
        "version": __version__,
        "has_docs": any(rule.rule == "/docs" for rule in app.url_map.iter_rules()),
        "regions_of": services().catalogue.regions,
    }


@blueprint.errorhandler(LoginNeeded)
def _login_needed(error: LoginNeeded) -> Response | AnyResponse:
    if request.method == "GET":
        return to_login()
    return _page(401, error.detail)


@blueprint.errorhandler(BeaconError)
def _problem(error: BeaconError) -> Response:
    answer = problems.problem_of(error)
    return _page(answer.status_code, error.detail, error.code, answer)


@blueprint.errorhandler(psycopg.Error)
@blueprint.errorhandler(PoolTimeout)
def _away(error: Exception) -> Response:
    g.setdefault("session", None)  # the frame of the error page must not ask the database again
    answer = problems.database_problem(error)
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        return _page(
            503, "The database can't be reached at the moment. Nothing is lost: try again shortly.", "", answer
        )
    return _page(500, "An unexpected error happened. The API's log has it under this request's id.")


def _http(error: HTTPException) -> Response | HTTPException:
    """Answer an HTTP error: a page for a browser at an address of pages, a problem for all others."""
    status = error.code or 500
    if status < 400:
        return error
    asked = request.accept_mimetypes.best_match(("application/json", "text/html"))
    if request.path.startswith(FOR_PROGRAMS) or not (asked == "text/html" or request.blueprint == blueprint.name):
        return problems.http_problem(error)
    details = {
        404: f"There is nothing at the address {quote(request.path)[:200]}.",
        405: "This address shows no page: it only takes a form. Go back and use the button again.",
        413: "The form is larger than 1 MiB.",
    }
    answer = _page(status, details.get(status, f"{HTTPStatus(status).phrase}."))
    if status == 405:
        answer.headers["Allow"] = error.get_response().headers["Allow"]
    protect(answer)
    return answer


def _page(status: int, detail: str, code: str = "", like: Response | None = None) -> Response:
    with suppress(psycopg.Error, PoolTimeout):
        visitor()  # after a failure the frame shows no session
    again = local_path(request.full_path.rstrip("?")) if status == 503 and request.method in ("GET", "HEAD") else ""
    title = HTTPStatus(status).phrase
    answer = page("error.html", status, number=status, title=title, detail=detail, code=code, again=again)
    if again:
        answer.headers["Refresh"] = f"{RETRY_SECONDS}"
    if like is not None and "Retry-After" in like.headers:
        answer.headers["Retry-After"] = like.headers["Retry-After"]
    return answer
