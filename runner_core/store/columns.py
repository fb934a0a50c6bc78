"""Turns records into the array parameters of a batch statement."""

from collections.abc import Sequence
from typing import Any

# The array parameters whose name is not the field's name with an s.
IRREGULAR = {"status": "statuses", "calls": "calls", "failed_answers": "failed_answers", "earlier": "earlier"}


def columns(kind: Any, records: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return one list per field of the NamedTuple `kind`, named in the plural. Without records the lists are empty."""
    lists = zip(*records, strict=True) if records else ((),) * len(kind._fields)
    return {IRREGULAR.get(name, f"{name}s"): list(values) for name, values in zip(kind._fields, lists, strict=True)}
