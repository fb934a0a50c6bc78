"""Build the API's description of itself (OpenAPI 3.1) from the routes, their docstrings and the models."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from runner_api.contract.error_schemas import Problem
from runner_api.contract.examples import add_examples
from runner_api.contract.operations import EVENT_STREAM, METHOD_NAME, NAME, OPERATIONS, Operation, Schema
from runner_core import __version__

REFS = "#/components/schemas/{model}"
PROBLEM = "application/problem+json"
REASONS = {
    200: "Done, or the same as before.",
    201: "Added.",
    202: "Accepted.",
    304: "The client has this version already.",
    400: "The request can't be read, or its signature does not hold.",
    401: "A token is missing or wrong.",
    403: "The key or the token may not do this.",
    404: "Nothing has this id or this address.",
    405: "The address does not take this method.",
    409: "The request contradicts what is stored.",
    413: "The body is larger than 1 MiB.",
    414: "The address is longer than the API takes.",
    415: "The body is not JSON.",
    422: "The request can be read, but its content is not valid.",
    500: "An unexpected error in the API; the log has it under this request's X-Request-ID.",
    503: "Not possible at the moment. Try again after the seconds in Retry-After, if that header is sent.",
}
# A variable part of a route's address: its converter, where it names one, and its name.
_ARGUMENT = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One route of the application. `rule` is its address as the framework writes it, `words` its view's docstring."""

    endpoint: str
    rule: str
    methods: frozenset[str]
    words: str


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the whole document. Raises KeyError for a route that operations.py does not know."""
    models: set[type[BaseModel]] = {Problem}
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda route: route.rule):
        operation = OPERATIONS[route.endpoint]
        models.update(m for m in (operation.body, *operation.answers.values()) if isinstance(m, type))
        path = _ARGUMENT.sub(r"{\2}", route.rule)
        for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(route, operation, method, path)
    _, schemas = models_json_schema([(m, "validation") for m in sorted(models, key=_name)], ref_template=REFS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Beacon Runner",
            "version": __version__,
            "description": "Runs signed jobs in several regions and reports their results. Every error is "
            f"{PROBLEM} (RFC 9457); its error_code is stable. A request that is not valid HTTP gets an error in the "
            "same form, with 400, 408, 413, 414, 417, 431 or 501, and the API closes its connection.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, operation: Operation, method: str, path: str) -> Schema:
    summary, _, more = " ".join(route.words.split()).partition(". ")
    described: Schema = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
        "tags": [operation.tag],
        "summary": summary.rstrip("."),
        "parameters": [*_parameters(route, operation)],
        "responses": _responses(operation),
    }
    if more:
        described["description"] = more
    if operation.body:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": _ref(operation.body)}},
        }
    if operation.admin:
        described["security"] = [{"token": []}]
    elif operation.reads:
        described["security"] = [{}, {"token": []}]  # a token is needed where READ_TOKENS is set
    add_examples(described, method, path)
    return described


def _parameters(route: Route, operation: Operation) -> Iterator[Schema]:
    for converter, name in sorted(_ARGUMENT.findall(route.rule), key=lambda argument: argument[1]):
        schema: Schema = NAME
        if converter == "int":
            schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
        elif converter == "method":
            schema = METHOD_NAME
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for where, named in (("query", operation.query), ("header", operation.headers)):
        for name, schema in named.items():
            yield {"name": name, "in": where, "required": False, "schema": schema}


def _responses(operation: Operation) -> Schema:
    responses: Schema = {}
    for status, answer in operation.answers.items():
        responses[str(status)] = {"description": REASONS[status]}
        if isinstance(answer, str):
            responses[str(status)]["content"] = {answer: {"schema": {"type": "string"}}}
        elif answer is not None:
            responses[str(status)]["content"] = {"application/json": {"schema": _ref(answer)}}
    if operation.stream:
        responses["200"]["content"][EVENT_STREAM] = {"schema": {"type": "string"}}
    errors = {*operation.errors, 405, 414, 500}
    if operation.admin:
        errors |= {401, 503}
    elif operation.reads:
        errors.add(401)
    for status in sorted(errors - set(operation.answers)):
        responses[str(status)] = {"description": REASONS[status], "content": {PROBLEM: {"schema": _ref(Problem)}}}
    return responses


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": REFS.format(model=model.__name__)}


def _name(model: type[BaseModel]) -> str:
    return model.__name__
