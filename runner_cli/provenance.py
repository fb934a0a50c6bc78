"""Lines for the terminal about a call: who answered, the parameters as sent, and how long the call waited."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runner_cli.terminal import clean
from runner_core.durations import duration
from runner_core.served_changes import served_changes

LABEL = 10  # columns of the word before a line
MOST_CHANGES = 10  # lines about changes of the served model


def call_lines(row: Mapping[str, Any], *, thoughts: bool = False, folded: str = "") -> list[str]:
    """Return the lines about one call and its failed tries, without its answer's text.

    `thoughts`: print them whole; else their length, with `folded`, which says how to print them.
    """
    output = row.get("output") or {}
    lines = [_line("served", served_line(row.get("served")))] if row.get("served") else []
    if row.get("sent") is not None:
        lines.append(_line("sent", as_text(row["sent"])))
    lines += _times(row)
    if output.get("filter"):
        lines.append(_line("filter", f"{output['filter']}: {output.get('filter_words') or 'no reason given'}"))
    if text := str(output.get("partial") or ""):
        lines.append(_line("partial", f"{len(text):,} characters"))
    if text := str(output.get("thoughts") or ""):
        lines.append(_line("thoughts", text if thoughts else f"{len(text):,} characters{folded}"))
    errors = [*(row.get("errors") or []), *([row["error_detail"]] if row.get("error_detail") else [])]
    return lines + [_line("failed try", _failed(error)) for error in errors]


def served_line(served: Mapping[str, Any] | None) -> str:
    """Return `model gpt-5, geography eu` for a `served` object; `the provider does not say` if nothing is known."""
    return clean(", ".join(f"{name.replace('_', ' ')} {text}" for name, text in (served or {}).items())) or (
        "the provider does not say"
    )


def change_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each change of the served model, and one that counts those beyond MOST_CHANGES."""
    changes = served_changes(rows)
    lines = [clean(change.sentence()) for change in changes[:MOST_CHANGES]]
    rest = len(changes) - len(lines)
    return [*lines, f"... {rest} more changes: --json has them"] if rest else lines


def as_text(sent: Mapping[str, Any]) -> str:
    """Return parameters on one line."""
    return clean(json.dumps(sent, ensure_ascii=False))


def _times(row: Mapping[str, Any]) -> list[str]:
    told = [
        f"{word} {duration(row[name])}"
        for word, name in (("waited", "waited_ms"), ("answered in", "answered_ms"))
        if row.get(name) is not None
    ]
    if row.get("paid"):
        told.append({"yes": "paid for", "no": "not paid for"}.get(row["paid"], "may have been paid for"))
    return [_line("times" if len(told) > 1 else "paid", ", ".join(told))] if told else []


def _failed(error: Mapping[str, Any]) -> str:
    parts = [str(error.get("code") or "failed")]
    if error.get("request_id"):
        parts.append(f"request id {error['request_id']}")
    if isinstance(error.get("served"), dict):
        parts.append(f"served by {served_line(error['served'])}")
    if error.get("partial"):
        parts.append(f"{len(str(error['partial'])):,} characters had arrived")
    return ", ".join(parts)


def _line(label: str, text: str) -> str:
    return clean(f"{label:<{LABEL}} {text}")
