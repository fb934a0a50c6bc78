"""A small job's export and its analysis, as the API answers them: for tests of the command line."""

from collections.abc import Sequence
from typing import Any

from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, conditions, export

OWN_PROMPTS = [conditions("m", "US"), conditions("m", "EU", system_prompt="You are in the EU.")]


def exported(runs: int = 2, questions: Sequence[str] = ("q1", "q2"), **changes: Any) -> dict[str, Any]:
    """The export of job j: one model, two regions, and a prompt of its own for the EU, which declines q1."""

    def answer(model: str, question: str, region: str, run: int) -> Answered:
        if region == "EU" and question == "q1":
            return "hard_refusal", "I can't answer that question."
        return "answer", f"Answer {run} to {question}: four."

    known = {"conditions": OWN_PROMPTS, "job_id": "j", "job_version": 3, "label_id": 0}
    document = export(answer, runs=runs, questions=questions, **known) | changes
    calls = [
        call | {"id": number, "detected_category": call["category"]}
        for number, call in enumerate(document["executions"], 1)
    ]
    return document | {"executions": calls}


def analysed(document: dict[str, Any]) -> dict[str, Any]:
    """The API's analysis of this export."""
    known = {"job_id": "j", "state": "ready", "current": True, "computed_at": "2026-01-01T00:00:03Z"}
    state = {"job_version": document["job_version"], "label_id": document["label_id"]}
    return {**known, **state, **analyse(Material.of_export(document))}
