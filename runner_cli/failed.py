"""The failed calls of a job: a line for each cause, what to do about it, and a line for each call."""

from collections.abc import Iterator
from typing import Any

from runner_cli.snapshot import Snapshot
from runner_cli.terminal import clean
from runner_core.error_messages import plain
from runner_core.statuses import in_order


def failed_rows(found: Snapshot) -> list[dict[str, Any]]:
    """Return the calls that failed, as the API gives them."""
    return [row for row in found.rows if row["status"] == "failed"]


def failed_lines(found: Snapshot) -> Iterator[str]:
    """Yield each cause in the words of the job's page, the commonest first, with what to do and where it happened.

    What to do is told of a job that has ended: of an open one the API tells what it waits for.
    """
    remedies = {reason["subject"]: reason["remedy"] for reason in found.job["waiting"]} if found.has_ended else {}
    causes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in failed_rows(found):
        detail = row.get("error_detail") or {}
        message = plain(str(detail.get("message") or row.get("error") or ""), str(detail.get("provider") or ""))
        causes.setdefault((str(detail.get("code") or "failed"), message), []).append(row)
    for (code, message), rows in sorted(causes.items(), key=lambda cause: -len(cause[1])):
        number = "1 call" if len(rows) == 1 else f"{len(rows)} calls"
        models = ", ".join(dict.fromkeys(row["model_id"] for row in rows))
        regions = ", ".join(in_order({row["region"] for row in rows}))
        yield clean(f"{code}: {number} of {models} in {regions}: {message or 'The error has no message.'}")
        if remedies.get(code):
            yield clean(f"-> {remedies[code]}")
        for row in rows:
            yield f"- {_place(found, row)}"


def _place(found: Snapshot, row: dict[str, Any]) -> str:
    title = " ".join(found.title(row.get("question_id") or "").split())
    run = f"run {row['run_no']}" if row.get("run_no") else ""
    tries = f"{row['retry_count'] + 1} tries" if row.get("retry_count") else ""
    return clean(", ".join(part for part in (row["region"], row["model_id"], title, run, tries) if part))
