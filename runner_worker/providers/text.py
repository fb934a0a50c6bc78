"""Cleans the texts and the numbers of providers, which may be anything."""

import re
from collections.abc import Mapping
from typing import Any

from runner_core.served import MEMBERS

# U+0000 and lone surrogates: PostgreSQL refuses them in text and in jsonb.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
LARGEST_COUNT = 2**53  # larger integers are not exact in JSON; a provider may send anything
LONGEST_SERVED = 255  # characters of each text about who answered
UNKNOWN_GEOGRAPHY = ("not_available",)  # said of models that can't be bound to a place


def clean(text: str) -> tuple[str, bool]:
    """Replace each character that PostgreSQL can't store by U+FFFD. Return the text and whether any was replaced."""
    if text.isascii() and "\0" not in text:  # the usual case: the pattern takes ten times as long
        return text, False
    cleaned, replaced = UNSTORABLE.subn("\ufffd", text)
    return cleaned, replaced > 0


def token_counts(usage: Any) -> dict[str, Any]:
    """Return the known token counts of `usage`. Other members are dropped, because their size has no limit."""
    if not isinstance(usage, dict):
        return {}
    counts = {name: count(usage.get(name)) for name in COUNTS}
    return {name: value for name, value in counts.items() if value is not None}


def count(value: Any) -> int | None:
    """Return a whole number of at least 0; a whole float counts. None for anything else."""
    whole = type(value) is int or (type(value) is float and value.is_integer())  # false for NaN and infinity
    return int(value) if whole and 0 <= value < LARGEST_COUNT else None


def who_served(**members: Any) -> dict[str, str]:
    """Return the members of `served` that are texts, cleaned and cut, without the empty ones."""
    texts = {
        name: clean(value.strip())[0][:LONGEST_SERVED]
        for name, value in members.items()
        if isinstance(value, str) and name in MEMBERS
    }
    return {name: text for name, text in texts.items() if text}


def geography(*values: Any) -> str:
    """Return the first text that names a place, empty if none does."""
    texts = (value.strip() for value in values if isinstance(value, str))
    return next((text for text in texts if text and text.lower() not in UNKNOWN_GEOGRAPHY), "")


def request_id(headers: Mapping[str, str], document: Any = None) -> Any:
    """Return the provider's own id of a request: from its headers, else from the body."""
    for name in ("x-request-id", "request-id", "apim-request-id"):
        if headers.get(name):
            return headers[name]
    return (document.get("request_id") or document.get("id")) if isinstance(document, dict) else None
