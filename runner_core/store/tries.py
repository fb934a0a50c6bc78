"""Calls the statements of tries.sql. A try is one request to a provider; its row is written before the request."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from runner_core.queries import rows, run
from runner_core.store.columns import columns


class Try(NamedTuple):
    """The key of a try. `number` counts from 1 in each attempt."""

    job_id: str
    region: str
    model_id: str
    question_id: str
    run_no: int
    attempt: int
    number: int


def begin(conn: Connection[Any], wanted: Try, token: str, provider_id: str | None) -> bool:
    """Insert a further try of a started call. Return False if the lease is lost or the call has its answer."""
    return bool(rows(conn, "tries.begin", **wanted._asdict(), token=token, provider_id=provider_id))


def withdraw(conn: Connection[Any], unreached: Sequence[Try]) -> None:
    """Delete the tries whose request did not reach the provider."""
    run(conn, "tries.withdraw", **columns(Try, unreached))
