"""Reads what the categories of a job's newest analysis were found by, so that an export shows the same categories."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from psycopg import Connection

from runner_core.queries import Row, row
from runner_core.refusals.judge import is_judge
from runner_core.refusals.scored import MODEL, text_key
from runner_core.store import analyses
from runner_core.store.analyses import Snapshot


def texts_of(calls: Iterable[Row]) -> dict[bytes, str]:
    """Return the different texts of answers by the key of their embeddings' results."""
    said = [(call["output"] or {}).get("response") for call in calls if call["status"] == "completed"]
    return {text_key(text): text for text in said if text}


def as_analysed(conn: Connection[Any], snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with the results of embeddings and the judge that the job's newest analysis used.

    What had been measured of the judge is what that analysis says: labels of other jobs change the measure later.
    """
    newest = row(conn, "analyses.method", job_id=snapshot.state.job_id)
    stages = newest["method"].split("+") if newest else []
    scores = analyses.known_embeddings(conn, MODEL, list(texts_of(snapshot.calls))) if MODEL in stages else None
    judge = next(filter(is_judge, stages), None)
    return replace(snapshot, scores=scores, judge=judge, measured=newest["measured"] if newest and judge else None)
