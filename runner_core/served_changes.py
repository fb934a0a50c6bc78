"""Finds where the model that served a job's answers changed: between runs, questions or regions."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from runner_core.statuses import in_order

Names = dict[int, dict[str, str]]  # by run and question: the model's name as the provider says
Place = tuple[str, str | None, int | None, str | None]  # model, region, run and question; None where all are meant
MOST_NAMED = 3  # names of the model in a sentence: a provider may give each answer another one


@dataclass(frozen=True)
class ServedChange:
    """One change of the served model. `before` and `after` hold the providers' names of the model, sorted.

    `first` and `second` are the two places: regions, numbers of runs, or ids of questions; `region` and `run_no` say
    where both places are, and are null where the places differ in them.
    """

    model_id: str
    between: Literal["regions", "runs", "questions"]
    first: str
    second: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    region: str | None = None
    run_no: int | None = None

    def sentence(self) -> str:
        """Return the change in one sentence."""
        at = f" in {self.region}" if self.region else ""
        at += f", run {self.run_no}" if self.run_no else ""
        what = {"regions": "", "runs": "run ", "questions": "question "}[self.between]
        return (
            f"Served model changed: {self.model_id}{at}, from {what}{self.first} to {what}{self.second}: "
            f"{_named(self.before)}, then {_named(self.after)}."
        )

    def places(self) -> tuple[Place, Place]:
        """Return the two places."""
        first, second = (self._place(name) for name in (self.first, self.second))
        return first, second

    def _place(self, name: str) -> Place:
        match self.between:
            case "regions":
                return (self.model_id, name, None, None)
            case "runs":
                return (self.model_id, self.region, int(name), None)
            case "questions":
                return (self.model_id, self.region, self.run_no, name)

    def as_json(self) -> dict[str, Any]:
        """Return the change as a JSON object."""
        return asdict(self) | {"sentence": self.sentence()}


def served_changes(rows: Iterable[Mapping[str, Any]]) -> list[ServedChange]:
    """Return every change of the served model in the rows of a job's calls.

    A row has region, model_id, run_no (1 if missing), question_key or question_id, and `served`. Rows whose `served`
    names no model are left out: they don't tell of a change.
    """
    told: dict[str, dict[str, Names]] = {}
    for row in rows:
        if name := (row.get("served") or {}).get("model"):
            regions = told.setdefault(row["model_id"], {})
            regions.setdefault(row["region"], {}).setdefault(_run(row), {})[_question(row)] = str(name)
    return [
        change
        for model_id, regions in sorted(told.items())
        for change in (*_between_regions(model_id, regions), *_in_regions(model_id, regions))
    ]


def sentences_by_place(changes: Iterable[ServedChange]) -> dict[Place, list[str]]:
    """Return the sentences of the changes by each of their places, so that a row finds its own without a search."""
    found: dict[Place, list[str]] = {}
    for change in changes:
        sentence = change.sentence()
        for place in change.places():
            found.setdefault(place, []).append(sentence)
    return found


def sentences_of(row: Mapping[str, Any], by_place: Mapping[Place, list[str]]) -> list[str]:
    """Return the sentences of the changes that have the row of a call at one of their places."""
    model_id, region, run_no, question = row["model_id"], row["region"], _run(row), _question(row)
    places: tuple[Place, ...] = (
        (model_id, region, None, None),
        (model_id, region, run_no, None),
        (model_id, region, run_no, question),
    )
    return [sentence for place in places for sentence in by_place.get(place, ())]


def _between_regions(model_id: str, regions: dict[str, Names]) -> Iterable[ServedChange]:
    names = {
        region: _different(name for run in regions[region].values() for name in run.values())
        for region in in_order(regions)
    }
    (first, before), *rest = names.items()
    for second, after in rest:
        if after != before:
            yield ServedChange(model_id, "regions", first, second, before, after)


def _in_regions(model_id: str, regions: dict[str, Names]) -> Iterable[ServedChange]:
    for region in in_order(regions):
        runs = {run_no: _different(regions[region][run_no].values()) for run_no in sorted(regions[region])}
        for (first, before), (second, after) in pairwise(runs.items()):
            if after != before:
                yield ServedChange(model_id, "runs", str(first), str(second), before, after, region)
        for run_no in runs:
            for (one, old), (other, new) in pairwise(sorted(regions[region][run_no].items())):
                if new != old:
                    yield ServedChange(model_id, "questions", one, other, (old,), (new,), region, run_no)


def _different(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _named(names: tuple[str, ...]) -> str:
    rest = len(names) - MOST_NAMED
    return " and ".join((*names[:MOST_NAMED], f"{rest} others") if rest > 1 else names)


def _run(row: Mapping[str, Any]) -> int:
    return int(row.get("run_no") or 1)


def _question(row: Mapping[str, Any]) -> str:
    return str(row.get("question_key") or row.get("question_id") or "")
