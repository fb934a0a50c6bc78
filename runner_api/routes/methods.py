"""The methods of comparison: everything that a stranger needs to compute an analysis again."""

import hashlib
from functools import cache

from flask import Blueprint, Response, request

from runner_api.http.wire import dumps
from runner_core.comparison import METHOD
from runner_core.errors import NotFound
from runner_core.method_page import METHOD_IDS, knows, method

blueprint = Blueprint("methods", __name__)


@blueprint.get("/analysis/methods/<method:method_id>")
def get_method(method_id: str) -> Response:
    """Read a method of comparison: its page with formulas, the worked example, the patterns of refusals."""
    if method_id != METHOD and not knows(method_id):
        known = " and ".join(METHOD_IDS)
        raise NotFound(detail=f"This release does not know the method {method_id}. It knows {known}.")
    text, tag = _json()
    answer = Response(text, content_type="application/json")
    answer.set_etag(tag, weak=True)
    answer.make_conditional(request)
    return answer


@cache
def _json() -> tuple[str, str]:
    """Return the document and its tag. Both change with the program only."""
    text = dumps(method())
    return text, hashlib.sha256(text.encode()).hexdigest()[:16]
