"""Labelled answers in the project's own words. The rules are made on sets 1 and 2; set 3 was written after them."""

import json
from dataclasses import dataclass
from pathlib import Path

from runner_core.refusals import Spoken

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Labelled:
    """An answer, what it is, its language, and the set that it belongs to."""

    id: str
    set: int
    language: str
    category: str
    spoken: Spoken


def _labelled(line: str) -> Labelled:
    row = json.loads(line)
    source = blocked = None
    if row["label"] == "content_filter":  # the protocol said so: the field, the error's body, or the finish reason
        source = "provider" if "provider_refusal" in row else "filter"
        blocked = None if source == "provider" else "input" if "error" in row else "output"
    spoken = Spoken(row.get("question", ""), row["text"], row["finish_reason"], source, blocked)
    return Labelled(row["id"], row["set"], row["lang"], row["label"], spoken)


def _read(name: str) -> list[Labelled]:
    return [_labelled(line) for line in (DATA / name).read_text("utf-8").splitlines()]


LABELLED = _read("refusals.jsonl")
BY_RULES = [answer for answer in LABELLED if answer.category != "content_filter"]
NEW_WORDING = _read("refusals_new_wording.jsonl")  # Nothing is tuned on these: their recall is what new wording does.
