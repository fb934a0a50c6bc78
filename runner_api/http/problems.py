"""Answer every error as application/problem+json (RFC 9457), with the status that belongs to its code.

`error` repeats the detail for clients that are older than the format. Programs read `error_code`.
"""

import logging
import traceback
from http import HTTPStatus
from urllib.parse import quote

import psycopg
from flask import Flask, Response, request
from psycopg_pool import PoolTimeout
from werkzeug.exceptions import HTTPException

from runner_api.http.wire import dumps
from runner_core.errors import BeaconError, Rejected
from runner_core.failures import failure_of
from runner_core.sqlstate import sqlstate

log = logging.getLogger("api")

# The HTTP status of each code, by the part of the code before a colon.
STATUSES = {
    "malformed_json": 400,
    "duplicate_key": 400,
    "missing_field": 400,
    "invalid_encoding": 400,
    "timestamp_invalid": 400,
    "signature_mismatch": 400,
    "offset_too_large": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "trust_violation": 403,
    "not_found": 404,
    "conflict": 409,
    "job_conflict": 409,
    "replay_detected": 409,
    "request_in_flight": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "validation_error": 422,
    "idempotency_key_reuse": 422,
    "unknown_region": 422,
    "no_provider": 422,
    "parameter_not_supported": 422,
    "admin_disabled": 503,
    "database_unavailable": 503,
    "not_ready": 503,
    "pool_timeout": 503,
    "too_many_streams": 503,
    "upgrade_in_progress": 503,
}
HEADERS = {
    "unauthorized": {"WWW-Authenticate": "Bearer"},
    "request_in_flight": {"Retry-After": "1"},
    "database_unavailable": {"Retry-After": "2"},
    "not_ready": {"Retry-After": "2"},
    "pool_timeout": {"Retry-After": "1"},
    "too_many_streams": {"Retry-After": "2"},
    "server_busy": {"Retry-After": "2"},
    "upgrade_in_progress": {"Retry-After": "10"},  # the row of a worker that has ended counts for 20 s
}
UNAVAILABLE = {
    "database_unavailable": "The database can't be reached at the moment. Try again shortly.",
    "pool_timeout": "Every database connection is in use. Try again shortly.",
}


CONTENT_TYPE = "application/problem+json"


def problem(status: int, code: str, detail: str) -> Response:
    """Return a problem response. `code` is stable. `detail` is a sentence that quotes nothing of a job's content."""
    headers = HEADERS.get(code.partition(":")[0])
    return Response(problem_body(status, code, detail, request.path), status, headers, content_type=CONTENT_TYPE)


def problem_body(status: int, code: str, detail: str, path: str) -> str:
    """Return the problem as JSON. `path` is the requested address, empty where the request could not be read."""
    return dumps(
        {
            "type": "about:blank",  # error_code names the problem; a type adds nothing to the status
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "instance": quote(path),
            "error": detail,
            "error_code": code,
        }
    )


def install(app: Flask) -> None:
    """Answer every error of `app` with a problem."""
    app.register_error_handler(BeaconError, problem_of)
    app.register_error_handler(psycopg.Error, database_problem)
    app.register_error_handler(PoolTimeout, database_problem)
    app.register_error_handler(HTTPException, http_problem)
    app.register_error_handler(Exception, _unexpected)


def problem_of(error: BeaconError) -> Response:
    """Return the problem for one of our errors. A code without a status is a mistake in this program: 500."""
    status = STATUSES.get(error.code.partition(":")[0])
    if status is None:
        if not isinstance(error, Rejected):
            return _unexpected(error)
        status = 422
    return problem(status, error.code, error.detail)


def database_problem(error: Exception) -> Response:
    """Return the problem for an error of the database: 503 when it may pass, else 500."""
    failure = failure_of(error)
    if failure.status != HTTPStatus.SERVICE_UNAVAILABLE:
        return _unexpected(error)
    log.error("database unavailable sqlstate=%s", sqlstate(error))
    return problem(failure.status, failure.code, UNAVAILABLE[failure.code])


def http_problem(error: HTTPException) -> Response:
    """Return the problem for a request that the framework refuses."""
    status = error.code or 500
    if status < 400:  # a redirect is not an error
        return Response(error.get_response().get_data(), status, error.get_headers())
    code = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 415: "unsupported_media_type"}
    detail = {
        404: "There is nothing at this address.",
        405: f"{request.method} is not possible at this address."[:200],
    }
    phrase = HTTPStatus(status).phrase
    answer = problem(status, code.get(status, phrase.lower().replace(" ", "_")), detail.get(status, f"{phrase}."))
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):  # Allow, WWW-Authenticate
            answer.headers[name] = value
    return answer


def _unexpected(error: Exception) -> Response:
    # Log the frames only. The message and psycopg's detail could quote a prompt, a key or a password.
    frames = "".join(traceback.format_tb(error.__traceback__))
    state = f" sqlstate={sqlstate(error)}" if isinstance(error, psycopg.Error) else ""
    log.error("unexpected %s%s at %s\n%s", type(error).__name__, state, request.url_rule, frames)
    return problem(500, "internal_error", "An unexpected error happened. The API's log has it under this request's id.")
