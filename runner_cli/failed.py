"""The failed calls of a job, a line for each cause and a line for each call below it."""

from collections.abc import Iterator
from typing import Any

from runner_cli.snapshot import Snapshot
from runner_cli.terminal import clean


def failed_rows(found: Snapshot) -> list[dict[str, Any]]:
    """Return the calls that failed, as the API gives them."""
    return [row for row in found.rows if row["status"] == "failed"]


def failed_lines(found: Snapshot) -> Iterator[str]:
    """Yield each cause with its number of calls, the commonest first, and below it where it happened."""
    causes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in failed_rows(found):
        detail = row.get("error_detail") or {}
        cause = str(detail.get("code") or "failed"), str(detail.get("message") or row.get("error") or "")
        causes.setdefault(cause, []).append(row)
    for (code, message), rows in sorted(causes.items(), key=lambda cause: -len(cause[1])):
        number = "1 call" if len(rows) == 1 else f"{len(rows)} calls"
        yield clean(f"{code}, {number}: {message}".rstrip(": "))
        for row in rows:
            yield f"- {_place(found, row)}"


def _place(found: Snapshot, row: dict[str, Any]) -> str:
    title = " ".join(found.title(row.get("question_id") or "").split())
    run = f"run {row['run_no']}" if row.get("run_no") else ""
    tries = f"{row['retry_count'] + 1} tries" if row.get("retry_count") else ""
    return clean(", ".join(part for part in (row["region"], row["model_id"], title, run, tries) if part))
