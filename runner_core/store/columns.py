"""Turns records into the arrays that a batch statement takes."""

from collections.abc import Sequence
from typing import Any

# The arrays whose name is not simply the field's name with an s.
IRREGULAR = {"status": "statuses", "calls": "calls", "failed_answers": "failed_answers", "earlier": "earlier"}


def columns(kind: Any, records: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """One list per field of the NamedTuple `kind`, named in the plural; empty ones of no records."""
    lists = zip(*records, strict=True) if records else ((),) * len(kind._fields)
    return {IRREGULAR.get(name, f"{name}s"): list(values) for name, values in zip(kind._fields, lists, strict=True)}
