"""/api/v1/openapi.json and /docs: the API's description of itself, for programs and for people, offline."""

from functools import cache
from typing import Any

from flask import Blueprint, Flask, Response, current_app, render_template

from runner_api.openapi import document as describe
from runner_api.portal.blueprint import protect
from runner_api.wire import reply

blueprint = Blueprint("docs", __name__)
pages = Blueprint("docs", __name__, template_folder="../templates")


@blueprint.get("/openapi.json")
def document() -> Response:
    """This description."""
    return reply(_document(_app()))


@pages.get("/docs")
def page() -> Response:
    """This description as a page."""
    described = _document(_app())
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    html = render_template("docs.html", document=described, by_tag=by_tag, schemas=described["components"]["schemas"])
    answer = Response(html, content_type="text/html; charset=utf-8")
    protect(answer)
    return answer


@cache
def _document(app: Flask) -> dict[str, Any]:
    return describe(app)


def _app() -> Flask:
    found: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy can't be a cache's key
    return found
