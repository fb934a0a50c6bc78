"""How well refusals are found: measured precision and recall by stage, language and set, from detector.json.

docs/refusal_detector.py measures and writes the file; a test compares it with what the rules find now. An answer counts
as found if its category says withheld. Answers whose category the protocol tells are left out.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

STAGES = ("rules", "rules or embedding")


@dataclass(frozen=True, slots=True)
class Measured:
    """One stage on one set in one language: `n` answers, `withheld` of them, `found` by the stage, `right` of those.

    Sets 1 and 2 are those that the rules and the embedding's weights were made on. Set 3 is new wording, written after
    the rules; the weight of a refusal in the embedding's training was chosen among several with set 3 in view.
    """

    stage: str
    set: int
    language: str
    n: int
    withheld: int
    found: int
    right: int


@cache
def measurements() -> tuple[Measured, ...]:
    """Return all measurements: by stage, set and language."""
    rows = json.loads((files(__package__) / "detector.json").read_text("utf-8"))["measured"]
    return tuple(Measured(**row) for row in rows)


def by_language(stage: str) -> dict[str, dict[str, Any]]:
    """Return for each language n, precision and recall, of all sets and of each; what a comparison prints beside rates.

    Shares are rounded to 1/1,000, and None where nothing was found or is withheld.
    """
    rows = [row for row in measurements() if row.stage == stage]
    return {
        language: {
            **_numbers([row for row in rows if row.language == language]),
            "sets": {str(row.set): _numbers([row]) for row in rows if row.language == language},
        }
        for language in sorted({row.language for row in rows})
    }


def _numbers(rows: list[Measured]) -> dict[str, float | int | None]:
    n, withheld, found, right = (
        sum(getattr(row, name) for row in rows) for name in ("n", "withheld", "found", "right")
    )
    return {
        "n": n,
        "precision": round(right / found, 3) if found else None,
        "recall": round(right / withheld, 3) if withheld else None,
    }


DETECTOR = by_language("rules")
