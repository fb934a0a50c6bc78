"""The invariants I1 to I7, each one query of sql/verify that shares nothing with the code that writes."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from runner_cli.kept_files import Kept
from runner_core.errors import BeaconError
from runner_core.receipts import dont_match, mismatches
from runner_core.session import connect, transaction
from runner_core.settings import Settings
from runner_core.signing import verify, verify_jcs
from runner_core.sql_files import sql_files
from runner_core.strict_json import parse_json

INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6", "I7")
EXAMPLES_KEPT = 5


@dataclass
class Verdict:
    """How often an invariant is broken, with the first examples as (job id, sentence)."""

    name: str
    title: str
    broken: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    def add(self, job_id: str, sentence: str, most: float = EXAMPLES_KEPT) -> None:
        self.broken += 1
        if len(self.examples) < most:
            self.examples.append((job_id, sentence))


def check(
    url: str,
    settings: Settings,
    queued: list[str] | None = None,
    *,
    signatures: bool = False,
    kept: Sequence[Kept] = (),
    only_kept: bool = False,
) -> list[Verdict]:
    """Run every query in one snapshot of the database, so that all speak of the same moment.

    `queued` are the dispatch ids that Redis holds, None when nobody could look. `signatures` also checks the stored
    jobs' signatures and the receipts. Of `kept` the verdict names everything that is missing;
    `only_kept` leaves the invariants out. Raises psycopg.Error.
    """
    params = {
        "lease_seconds": settings.jobs.lease_seconds,
        "max_attempts": settings.jobs.region_max_attempts,
        "retention_days": settings.jobs.retention_days,
        "queued": queued,
    }
    with connect(url, "verify") as conn:
        conn.row_factory = dict_row
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        with transaction(conn):
            names = () if only_kept else INVARIANTS
            found = [_judged(name, _rows(conn, name, params)) for name in names]
            if signatures:
                found.append(_judged("signatures", map(_signature, _rows(conn, "signatures"))))
                found.append(_judged("receipts", map(_receipt, _rows(conn, "receipts"))))
            if kept:
                found.append(_judged("kept", _rows(conn, "kept", _columns(kept)), most=math.inf))
    return found


def _judged(name: str, rows: Iterable[Mapping[str, Any]], most: float = EXAMPLES_KEPT) -> Verdict:
    title = _text(name).splitlines()[0].removeprefix("-- ").removeprefix(f"{name}: ")
    verdict = Verdict(name, title)
    for row in rows:
        if row["broken"]:
            verdict.add(row["job_id"], row["broken"], most)
    return verdict


def _columns(kept: Sequence[Kept]) -> dict[str, list[str | None]]:
    return {
        "files": [one.file for one in kept],
        "job_ids": [one.job_id for one in kept],
        "regions": [one.region for one in kept],
        "model_ids": [one.model_id for one in kept],
        "attempts": [None if one.attempt is None else str(one.attempt) for one in kept],
        "signatures": [one.signature for one in kept],
    }


def _rows(conn: psycopg.Connection[DictRow], name: str, params: Mapping[str, Any] | None = None) -> Iterator[DictRow]:
    """One row at a time: a broken database may have very many."""
    with conn.cursor() as cursor:
        yield from cursor.stream(_text(name).encode(), params)


def _text(name: str) -> str:
    return sql_files().joinpath(f"verify/{name}.sql").read_text("utf-8")


def _signature(row: Mapping[str, Any]) -> dict[str, str]:
    """Check one stored job as it was checked when it came."""
    broken = ""
    try:
        spec = parse_json(bytes(row["spec_raw"]))
        form = verify(spec).form
        if spec["public_key"] != row["public_key"]:
            broken = "its bytes are signed by another key than the one that was accepted"
        elif form != row["signature_form"]:
            broken = f"its signature has form {form}, it was accepted as {row['signature_form']}"
    except BeaconError as error:
        broken = f"its stored bytes do not verify: {error.detail}"
    return {"job_id": row["job_id"], "broken": broken}


def _receipt(row: Mapping[str, Any]) -> dict[str, str]:
    """Check that a receipt is signed and speaks of this row and this output."""
    receipt, unit = row["receipt"], f"{row['region']} {row['model_id']}"
    broken = ""
    try:
        verify_jcs(receipt)
        facts = ("job_id", "region", "model_id", "status", "attempt")
        if wrong := [name for name in facts if receipt.get(name) != row[name]]:
            broken = f"the receipt of {unit} differs from the execution in {', '.join(wrong)}"
        elif wrong := mismatches(receipt, row["output"], row["calls"]):
            broken = dont_match(wrong, f" of {unit}")
    except (BeaconError, ValueError) as error:
        broken = f"the receipt of {unit} does not verify: {error}"
    return {"job_id": row["job_id"], "broken": broken}
