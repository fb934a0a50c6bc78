"""Brings the results of sentence embeddings to a job's snapshot, where the extra `semantic` is installed.

Each text is embedded once: its result is stored. Of two analysts that embed the same text one stores its result, and
both read what is stored, because the last digits of an embedding differ between machines.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from runner_core.db import Database, retried
from runner_core.failpoints import failpoint
from runner_core.refusals import embedding
from runner_core.refusals.scored import MODEL
from runner_core.store import analyses
from runner_core.store.analyses import Snapshot
from runner_core.store.detected import texts_of

BATCH = 50  # texts that are embedded before their results are stored: seconds of work that a killed process loses


def with_embeddings(db: Database, snapshot: Snapshot, progressed: Callable[[], None] = lambda: None) -> Snapshot:
    """Return the snapshot with the stored result of each text; embed and store those that are missing.

    `progressed` is called after each batch.
    Nothing is embedded inside a transaction. Raises psycopg.Error or PoolTimeout if the database does not work.
    """
    texts = texts_of(snapshot.calls)
    known = _known(db, list(texts))
    missing = [key for key in texts if key not in known]
    for begin in range(0, len(missing), BATCH):
        keys = missing[begin : begin + BATCH]
        scores = embedding.scores([texts[key] for key in keys])
        failpoint("analyst.embedded")
        _keep(db, {key: score.stored() for key, score in zip(keys, scores, strict=True)})
        progressed()
    return replace(snapshot, scores=known | (_known(db, missing) if missing else {}))


@retried
def _known(db: Database, texts: Sequence[bytes]) -> dict[bytes, Any]:
    with db.transaction() as conn:
        # First: what is renewed is not deleted before it is read.
        analyses.renew_embeddings(conn, MODEL, texts)
        return analyses.known_embeddings(conn, MODEL, texts)


@retried
def _keep(db: Database, results: dict[bytes, Any]) -> None:
    with db.transaction() as conn:
        analyses.keep_embeddings(conn, MODEL, results)
