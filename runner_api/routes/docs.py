"""/api/v1/openapi.json and /docs: the API's description of itself, for programs and for people."""

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from flask import Blueprint, Flask, Response, current_app, render_template, request
from markupsafe import Markup, escape

from runner_api.contract.error_codes import ERROR_CODES
from runner_api.contract.examples import SIGN_JOB, examples
from runner_api.contract.openapi import Route
from runner_api.contract.openapi import document as describe
from runner_api.contract.samples import HOST, samples
from runner_api.http.headers import HTML, protect
from runner_api.http.wire import dumps
from runner_core.vocabulary import WORDS

PAGES = "portal."  # the endpoints of the portal's pages begin with this
ORDER = ("jobs", "executions", "analysis", "catalogue", "health", "admin")  # what is needed first stands first
blueprint = Blueprint("docs", __name__)
pages = Blueprint("docs", __name__, template_folder="templates")


@blueprint.get("/openapi.json")
def document() -> Response:
    """This description."""
    text, tag = _json(_app())
    answer = Response(text, content_type="application/json")
    answer.set_etag(tag, weak=True)
    answer.make_conditional(request)
    return answer


@pages.get("/docs")
def page() -> Response:
    """This description as a page."""
    app = _app()
    body = _body(app).replace(HOST, escape(request.host_url.rstrip("/")))
    answer = Response(render_template("docs.html", body=body), content_type=HTML)
    protect(answer)
    return answer


def described(app: Flask) -> Iterator[Route]:
    """Yield the routes that the document describes: all but the portal's pages."""
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith(PAGES):
            words = app.view_functions[rule.endpoint].__doc__ or ""
            yield Route(rule.endpoint, rule.rule, frozenset(rule.methods or ()), words)


@cache
def _json(app: Flask) -> tuple[str, str]:
    """Return the document and its tag. Both change with the program only."""
    text = dumps(_document(app))
    return text, hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _body(app: Flask) -> Markup:
    """Return the page without its frame, which names the session and so can't be cached. HOST stands for its host."""
    described = _document(app)
    by_tag: dict[str, list[dict[str, Any]]] = {tag: [] for tag in ORDER}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append(_shown(method.upper(), path, operation))
    html = render_template(
        "docs_body.html",
        document=described,
        by_tag=by_tag,
        schemas=described["components"]["schemas"],
        sign_job=SIGN_JOB,
        host=HOST,
        error_codes=sorted(ERROR_CODES.items(), key=lambda row: (row[1][0], row[0])),
        words=WORDS,
    )
    return Markup(html)  # noqa: S704 - a template of ours


def _shown(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of an operation. `example` and `samples` are empty where there is none."""
    example = examples().get(f"{method} {path}", {})
    admin = operation.get("security") == [{"token": []}]
    return {
        "method": method,
        "path": path,
        "described": operation,
        "admin": admin,
        "example": example,
        "samples": samples(f"{method} {path}", example, admin=admin) if example else {},
    }


@cache
def _document(app: Flask) -> dict[str, Any]:
    return describe(described(app))


def _app() -> Flask:
    found: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy can't be a cache's key
    return found
