"""Exports of made-up jobs, for the tests of the comparison and of what shows its results."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

Answered = tuple[str | None, str]  # category, text
WORDS = [f"word{number:02}" for number in range(60)]


def chance(*names: object) -> float:
    """A number from 0 to 1 that depends on the names alone."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, names)).encode()).digest()[:6], "big") / 2**48


def export(
    answer: Callable[[str, str, str, int], Answered | None],
    *,
    regions: Sequence[str] = ("EU", "US"),
    questions: Sequence[str] = ("q1", "q2"),
    models: Sequence[str] = ("m",),
    runs: int = 3,
    **changes: Any,
) -> dict[str, Any]:
    """The `compare.json` of a job. `answer(model, question, region, run)`: None where the call is missing."""
    executions = []
    for model in models:
        for question in questions:
            for region in regions:
                for run in range(1, runs + 1):
                    if (given := answer(model, question, region, run)) is None:
                        continue
                    category, text = given
                    executions.append(
                        {"model_id": model, "question_id": question, "question_key": question, "region": region}
                        | {"run_no": run, "status": "failed" if category is None else "completed"}
                        | {"category": category, "category_source": category and "rules", "evidence": None}
                        | {"language": category and "en", "output": category and {"response": text}}
                    )
    return {
        "job_id": "job-1",
        "status": "completed",
        "questions": [{"id": key, "question_key": key, "text": f"{key}?"} for key in questions],
        "regions": sorted(regions),
        "models": [{"id": model, "regions": list(regions)} for model in models],
        "runs": runs,
        "controls": [],
        "facts": {},
        "conditions": [conditions(model, region) for model in models for region in regions],
        "executions": executions,
    } | changes


def conditions(model: str, region: str, **changes: Any) -> dict[str, Any]:
    """The conditions of one model in one region: equal everywhere."""
    return {
        "model_id": model,
        "region": region,
        "system_prompt": "Be brief.",
        "upstream": "vendor/m",
        "parameters": {"temperature": 0.7, "max_tokens": 200},
        "seeds": "own",
        "served_models": ["vendor/m"],
        "simulated": False,
    } | changes


def drawn_text(model: str, question: str, region: str, run: int, *, shift: float = 0.0) -> str:
    """Words that differ from call to call; `shift` of them are likelier or rarer in ASIA than elsewhere."""
    kept = []
    for word in WORDS:
        likely = chance(model, question, word)
        if region == "ASIA" and chance(question, word, "shifted") < shift:
            likely = chance(model, question, word, "new")
        if chance(model, question, region, run, word, "in") < likely:
            kept.append(word)
    return " ".join(kept)


def section_9() -> dict[str, Any]:
    """The export behind tests/data/analysis.json: 300 calls, 18 answers of m withheld in ASIA, 4 errors."""

    def answer(model: str, question: str, region: str, run: int) -> Answered | None:
        if (model, region, run) == ("m2", "EU", 5) and question in ("q04", "q07", "q09"):
            return None, ""
        if (model, question, region, run) == ("m", "q10", "ASIA", 5):
            return None, ""
        often = {"q02": 5, "q03": 5, "q05": 5, "q08": 3}.get(question, 0)
        if model == "m" and region == "ASIA" and run <= often:
            return "hard_refusal", "I can't talk about that."
        return "answer", drawn_text(model, question, region, run)

    questions = ["math_basic", *(f"q{number:02}" for number in range(2, 11))]
    document = export(
        answer, regions=("ASIA", "EU", "US"), questions=questions, models=("m", "m2"), runs=5, controls=["math_basic"]
    )
    for place in document["conditions"]:
        place["system_prompt"] = f"Answer readers in {place['region']}."
        place["parameters"] = {"temperature": 0.1, "max_tokens": 200}
    return document
