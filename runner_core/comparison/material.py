"""What a comparison is computed from: the members of `compare.json` that the method uses, and nothing else."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

from runner_core.refusals import CATEGORIES, RULES, WITHHELD
from runner_core.refusals.text import read_of
from runner_core.signing import canonical

MAX_RUNS = 10  # the weights of the method are whole for one to ten answers of a cell

# Of the six categories of an answer. A failed or missing call has none.
WORDED = frozenset({"answer", "partial_refusal", "deflection"})
REFUSED = WITHHELD
USABLE = WORDED | REFUSED


@dataclass(frozen=True)
class Call:
    """One planned call. `category` is None for a failed call; a call that is not in the export is no Call.

    `source` says who gave the category. `text` is what is read of the answer, "" without one: 20,000 characters behind
    its thoughts.
    `detected` is the detector's category, also where a person's or a judge's stands in its place. `judged` is the
    judge's category, `by_people` has the category of each person who labelled the answer, the newest first.
    """

    model: str
    question: str
    region: str
    run: int
    category: str | None
    source: str | None = None
    language: str | None = None
    text: str = ""
    detected: str | None = None
    judged: str | None = None
    by_people: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Return whether the call counts in the rate of withheld answers."""
        return self.category in USABLE

    @property
    def worded(self) -> bool:
        """Return whether the call's words are compared."""
        return self.category in WORDED

    @property
    def withheld(self) -> bool:
        """Return whether the answer was withheld, wholly or in part."""
        return self.category in REFUSED

    @property
    def for_judge(self) -> bool:
        """Return whether a judge is asked about the answer: it has a text, and the protocol names no category."""
        return self.category is not None and self.detected != "content_filter" and bool(self.text.strip())


@dataclass(frozen=True)
class Conditions:
    """Under which conditions one region asked one model. `parameters` are as sent, without model and seed.

    `seeds`: own, shared, provider or none.
    """

    model: str
    region: str
    system_prompt: str | None = None
    upstream: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: str = "own"
    served_models: tuple[str, ...] = ()
    simulated: bool = False


@dataclass(frozen=True)
class CountingJudge:
    """Why a judge's labels count: Cohen's kappa with people, withheld or not, over `n` answers of all jobs.

    `silent`: further answers that people labelled, and for which the judge named no category. All as they were when the
    job was analysed.
    """

    kappa: float
    n: int
    silent: int


@dataclass(frozen=True)
class Model:
    """A model and the regions that were planned for it, by code point."""

    id: str
    regions: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """All that one analysis is computed from, in an order that does not depend on the export's.

    `questions` are question keys. `facts` has for a question key the facts that its answers should name; the
    alternatives of a fact are joined by "|". `job_version` and `label_id` tell one state of a job from another whose
    answers are equal; the method does not use them otherwise. `detector` has the stages that gave the categories, for
    the method's id. `judge` is None where no judge's labels count.
    """

    job_id: str
    questions: tuple[str, ...]
    models: tuple[Model, ...]
    runs: int
    controls: tuple[str, ...] = ()
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    conditions: tuple[Conditions, ...] = ()
    calls: tuple[Call, ...] = ()
    job_version: int | None = None
    label_id: int | None = None
    detector: str = RULES
    judge: CountingJudge | None = None

    @classmethod
    def of_export(cls, document: Mapping[str, Any]) -> Self:
        """Pick the material from the object of a `compare.json`.

        Controls and facts of questions that this job does not ask are left out: a regions file names them for all jobs.
        Raises ValueError where a call stands twice or was not planned, or its category is unknown.
        """
        questions = tuple(sorted(question["question_key"] for question in document["questions"]))
        models = tuple(
            sorted(
                (Model(m["id"], tuple(sorted(m["regions"]))) for m in document["models"]), key=lambda model: model.id
            )
        )
        facts = {key: tuple(listed) for key, listed in sorted(document.get("facts", {}).items()) if key in questions}
        material = cls(
            job_id=document["job_id"],
            questions=questions,
            models=models,
            runs=document["runs"],
            controls=tuple(sorted(set(document.get("controls", ())) & set(questions))),
            facts=facts,
            conditions=tuple(
                sorted(map(_conditions, document.get("conditions", ())), key=lambda c: (c.model, c.region))
            ),
            calls=tuple(sorted(map(_call, document["executions"]), key=_place)),
            job_version=document.get("job_version"),
            label_id=document.get("label_id"),
            detector=document.get("detector") or RULES,
            judge=_judge(document.get("judge")),
        )
        material.check()
        return material

    def check(self) -> None:
        """Raise ValueError where the material contradicts itself."""
        if not 1 <= self.runs <= MAX_RUNS:
            raise ValueError(f"A job has 1 to {MAX_RUNS} runs, not {self.runs}.")
        planned = {
            (model.id, question, region)
            for model in self.models
            for question in self.questions
            for region in model.regions
        }
        seen: set[tuple[str, str, str, int]] = set()
        for call in self.calls:
            place = _place(call)
            if place in seen:
                raise ValueError(f"The export has a call twice: {place}.")
            if place[:3] not in planned or not 1 <= call.run <= self.runs:
                raise ValueError(f"The export has a call that was not planned: {place}.")
            if call.category is not None and call.category not in CATEGORIES:
                raise ValueError(f"The category {call.category!r} of the call {place} is unknown.")
            seen.add(place)

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """The regions of all models, by code point."""
        return tuple(sorted({region for model in self.models for region in model.regions}))

    @property
    def planned(self) -> int:
        """The number of planned calls."""
        return sum(len(model.regions) for model in self.models) * len(self.questions) * self.runs

    def sha256(self) -> str:
        """Return the SHA-256 of the material's canonical JSON (RFC 8785), as 64 hex digits.

        The detector is left out: it stands in the method's id, and what it said stands in the calls. So are the labels
        beside the one that counts: `label_id` names the newest of them. What was measured of the judge goes in where a
        judge counts: it comes from other jobs and changes with their labels, stands in the result, and nothing else of
        the input names it.
        """
        told = asdict(self)
        del told["detector"]
        if self.judge is None:
            del told["judge"]
        for call in told["calls"]:
            del call["judged"], call["by_people"]
        return hashlib.sha256(canonical(told)).hexdigest()


def _place(call: Call) -> tuple[str, str, str, int]:
    return call.model, call.question, call.region, call.run


def _call(row: Mapping[str, Any]) -> Call:
    text = (row.get("output") or {}).get("response") or ""
    return Call(
        model=row["model_id"],
        question=row["question_key"],
        region=row["region"],
        run=row["run_no"],
        category=row["category"],
        source=row.get("category_source"),
        language=row.get("language"),
        text=read_of(text),
        detected=row.get("detected_category"),
        judged=row.get("judge_category"),
        by_people=tuple(row.get("human_categories") or ()),
    )


def _judge(measured: Mapping[str, Any] | None) -> CountingJudge | None:
    return CountingJudge(float(measured["kappa"]), measured["n"], measured["silent"]) if measured else None


def _conditions(row: Mapping[str, Any]) -> Conditions:
    return Conditions(
        model=row["model_id"],
        region=row["region"],
        system_prompt=row.get("system_prompt"),
        upstream=row.get("upstream"),
        parameters=row.get("parameters") or {},
        seeds=row.get("seeds") or "none",
        served_models=tuple(sorted(row.get("served_models") or ())),
        simulated=bool(row.get("simulated")),
    )
