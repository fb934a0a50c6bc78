"""Plays a request of every operation of the API, and keeps it with its answer for the page that describes the API.

What differs between two runs (times, ids made by chance, signatures) is replaced by something that looks like it, so
that the kept file changes only where the API does.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from runner_api.contract.openapi import document
from runner_api.routes.docs import described
from runner_core import __version__
from runner_core.method_page import METHOD_ID
from tests.integration.analysed_jobs import add_label, analysed
from tests.integration.api_client import ADMIN_HEADER, Api

JOB, WAITING, GIVEN_UP, FAILED = "capitals-1", "capitals-2", "capitals-3", "capitals-4"
MOST_ENTRIES, MOST_CHARACTERS, MOST_LINES = 2, 400, 6
STEADY_TEXTS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "2026-01-01T12:00:00Z"),
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "9b2f7c52-3d0e-4a51-8f43-5a0f3c1d7e26"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "0af7651916cd43dd8448eb211c80319c"),
    (re.compile(re.escape(__version__)), "1.0.0"),
)
STEADY_MEMBERS = {
    "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "signature": "hgyY0il+MGCjP0JzlnLWG1PPOt7+09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr/MuM0KAg==",
    "next_cursor": "MTc2NzI2ODgwMDAwMDAwMC5jYXBpdGFscy0x",
    "nonce": "3f9c1d20a8b14c7e",
}
# Of the API's document and of the method's, which are long.
MOST_MEMBERS = {"paths": 0, "schemas": 0, "example": 4, "example_values": 2, "patterns": 1, "detector": 1}
NOT_SHOWN = {"GET /docs"}  # the page that shows the examples

Kept = dict[str, Any]


def play(api: Api) -> dict[str, Kept]:
    """Return an example for each operation, by `METHOD path`: {"request": {..}, "response": {..}}."""
    found = {}
    for operation, kept in _requests(api):
        found[operation] = {"request": _steady(kept["request"]), "response": _steady(kept["response"])}
    return dict(sorted(found.items()))


def operations(api: Api) -> dict[str, dict[str, Any]]:
    """Return the description of each operation, by `METHOD path`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document(described(api.app))["paths"].items()
        for method, operation in methods.items()
    }


def _requests(api: Api) -> Iterator[tuple[str, Kept]]:
    job = api.job(**_capitals(JOB))
    yield _ask(api, "POST", "/api/v1/jobs", job)
    for region in ("US", "EU"):
        api.record(JOB, region, _answered(api, region), {"m1": True}, receipt=region == "US")
    analysed(api, JOB)
    answer_id = add_label(api, JOB)
    execution = api.sql("SELECT min(id) FROM executions")[0][0]
    for path in (
        "/jobs?limit=1",
        f"/jobs/{JOB}",
        f"/jobs/{JOB}/executions/all",
        f"/jobs/{JOB}/events?after=0&limit=2",
        f"/jobs/{JOB}/analysis",
        f"/jobs/{JOB}/labels",
        f"/analysis/methods/{METHOD_ID}",
        "/executions?limit=1",
        f"/executions/{execution}/details",
        f"/executions/{execution}/receipt",
        f"/executions/{JOB}/cross-region",
        *("/questions", "/models", "/regions", "/health", "/openapi.json"),
    ):
        yield _ask(api, "GET", f"/api/v1{path}")
    label = {"category": "answer", "note": "It answers the question."}
    yield _ask(api, "POST", f"/api/v1/answers/{answer_id}/labels", label, admin=True)
    wrapped = {"jobspec": api.job(**_capitals(WAITING)), "target_regions": ["US", "EU"], "min_regions": 1}
    yield _ask(api, "POST", "/api/v1/jobs/cross-region", wrapped)
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        yield _ask(api, "GET", path)
    yield from _of_operators(api)


def _of_operators(api: Api) -> Iterator[tuple[str, Kept]]:
    api.submit(**_capitals(GIVEN_UP))
    api.sql(
        "INSERT INTO processes (id, kind, region, host, pid, version) VALUES (%s, 'worker', 'US', 'host-1', 4711, %s)",
        "worker-us-host-1-4711",
        __version__,
    )
    api.sql("UPDATE jobs SET created_at = now() - interval '11 minutes' WHERE id = %s", WAITING)
    api.sql("UPDATE outbox SET dead_at = now(), attempts = 10, last_error = 'refused' WHERE job_id = %s", GIVEN_UP)
    for name in ("outbox", "queues", "stuck", "processes", "dead"):
        yield _ask(api, "GET", f"/admin/{name}", admin=True)
    dead = api.sql("SELECT min(id) FROM outbox WHERE job_id = %s", GIVEN_UP)[0][0]
    yield _ask(api, "POST", f"/admin/outbox/{dead}/republish", admin=True)
    api.sql("UPDATE outbox SET processed_at = now() WHERE job_id = %s", WAITING)
    yield _ask(api, "POST", f"/admin/jobs/{WAITING}/republish", admin=True)
    yield _ask(api, "POST", f"/api/v1/jobs/{WAITING}/cancel", admin=True)
    api.submit(**_capitals(FAILED))
    api.finish(FAILED, "US", {"m1": True})
    api.finish(FAILED, "EU", {"m1": False})
    yield _ask(api, "POST", f"/api/v1/jobs/{FAILED}/retry", {"region": "EU"}, admin=True)


def _ask(api: Api, method: str, path: str, body: Any = None, *, admin: bool = False) -> tuple[str, Kept]:
    answer = api.client.open(path, method=method, json=body, headers=ADMIN_HEADER if admin else {})
    assert answer.status_code < 300, (path, answer.text)
    request = {"path": path} | ({} if body is None else {"body": body})
    lines = answer.text.splitlines()[:MOST_LINES]
    got = (
        answer.get_json() if answer.is_json else "\n".join(map(_without_count, lines) if path == "/metrics" else lines)
    )
    response = {"status": answer.status_code, "type": answer.mimetype, "body": got}
    rule, _ = api.app.url_map.bind("localhost").match(path.partition("?")[0], method=method, return_rule=True)
    named = re.sub(r"<(?:[^:>]*:)?(\w+)>", r"{\1}", rule.rule)
    return f"{method} {named}", {"request": request, "response": response}


def _without_count(line: str) -> str:
    """Return a line of /metrics with 0 for its count: other tests of this process have counted too."""
    return line if line.startswith("#") else re.sub(r" [0-9.e+]+$", " 0.0", line)


def _capitals(job_id: str, **changes: Any) -> dict[str, Any]:
    benchmark = {"name": "capitals", "container": {"image": "none"}, "input": {"hash": "sha256:placeholder"}}
    return {"id": job_id, "benchmark": benchmark, **changes}


def _answered(api: Api, region: str) -> str:
    token = api.claim(JOB, region)
    api.answer(JOB, region, token, {("m1", "q1"): "Lima.", ("m1", "q2"): "Paris."})
    return token


def _steady(value: Any, name: str = "") -> Any:
    """Return a value as it is in every run, with long lists and texts cut."""
    if isinstance(value, dict):
        kept = list(value.items())[: MOST_MEMBERS.get(name)]
        return {member: _steady(inner, member) for member, inner in kept}
    if isinstance(value, list):
        return [_steady(inner) for inner in value[:MOST_ENTRIES]]
    if isinstance(value, str):
        if name in STEADY_MEMBERS:
            return STEADY_MEMBERS[name]
        for pattern, text in STEADY_TEXTS:
            value = pattern.sub(text, value)
        return value if len(value) <= MOST_CHARACTERS else f"{value[:MOST_CHARACTERS]} …"
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (name.endswith(("_ms", "_seconds")) or name == "seconds_since")
    ):
        return 1200
    return value


def written(examples: dict[str, Kept]) -> str:
    """Return the file's text."""
    return json.dumps(examples, indent=1, ensure_ascii=False) + "\n"
