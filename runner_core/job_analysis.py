"""Reads what a job fixes for its comparison, its controls and facts, before the first answer. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner_core.errors import SpecError
from runner_core.job_shapes import AnalysisWishes

MOST_TOLD = 10  # mistakes in one message
PLACE = "metadata.analysis"


def fixed_analysis(
    wishes: AnalysisWishes | None, questions: Mapping[str, str], usual_controls: Sequence[str]
) -> dict[str, Any] | None:
    """Return the value of the column jobs.analysis: {"controls": [..], "facts": {..}}, None without any.

    `questions` are the job's, text by id; a wish may name a question by its id or by its text. Without controls of the
    job's own, those of the regions file (`usual_controls`) that the job asks are its controls. Raises SpecError.
    """
    wishes = wishes or AnalysisWishes()
    ids = {text: question_id for question_id, text in questions.items()} | {known: known for known in questions}
    mistakes: list[str] = []

    def known(name: str, place: str) -> str:
        if name not in ids:
            mistakes.append(f"{place}: the job has no question {name[:64]!r}.")
        return ids.get(name, name)

    if wishes.controls is None:
        controls = [name for name in usual_controls if name in questions]
    else:
        controls = [known(name, f"{PLACE}.controls[{number}]") for number, name in enumerate(wishes.controls)]
    facts: dict[str, list[str]] = {}
    for name, listed in (wishes.facts or {}).items():
        place = f"{PLACE}.facts.{name[:64]}"
        question_id = known(name, place)
        mistakes += [
            f"{place}[{number}]: an alternative is empty, and would be found in every answer."
            for number, fact in enumerate(listed)
            if not all(alternative.strip().rstrip("*").strip() for alternative in fact.split("|"))
        ]
        if question_id in facts:
            mistakes.append(f"{place}: the question has facts twice, by its id and by its text.")
        facts[question_id] = list(listed)
    if mistakes:
        raise SpecError(detail=" ".join(mistakes[:MOST_TOLD]))
    if not controls and not any(facts.values()):
        return None
    return {"controls": sorted(set(controls)), "facts": {name: listed for name, listed in facts.items() if listed}}
