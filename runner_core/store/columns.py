"""Turns records into the array parameters of a batch statement."""

from collections.abc import Sequence
from typing import Any


def columns(kind: Any, records: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return one list per field of the NamedTuple `kind`, under its name. Without records the lists are empty."""
    lists = zip(*records, strict=True) if records else ((),) * len(kind._fields)
    return {name: list(values) for name, values in zip(kind._fields, lists, strict=True)}
