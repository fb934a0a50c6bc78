"""Made-up exports of jobs, as GET /jobs/JOB/compare.json sends them, for tests of the comparison."""

import random
from typing import Any

WORDS = (
    *("the", "a", "of", "in", "city", "square", "army", "students", "peace", "北", "京", "1989", "june", "fire"),
    *("état", "straße", "reform", "party", "river", "moon"),
)
FACTS = ["1989|june", "北京", "squ*"]
CATEGORIES = ("hard_refusal", "content_filter", "partial_refusal", "deflection", "non_answer")
REGIONS = ("ASIA", "EU", "US", "AFRICA", "US-PLAIN", "ASIA-PLAIN", "LATAM", "ME")


def made_up(
    seed: int,
    *,
    models: int = 1,
    regions: int = 3,
    questions: int = 4,
    runs: int = 3,
    missing: float = 0.05,
    withheld: float = 0.15,
    controls: int = 0,
    facts: bool = False,
    shift: float = 0.0,
) -> dict[str, Any]:
    """Return an export. A share of the calls failed or is missing, another share is not a plain answer.

    In the last region, the share `shift` of the words are others.
    """
    dice = random.Random(seed)  # noqa: S311 - a seed, so that a failure comes again
    keys = [f"q{number}" for number in range(questions)]
    plan = [{"id": f"m{number}", "regions": sorted(REGIONS[:regions])} for number in range(models)]
    facts_of = {key: FACTS[: 1 + place % 3] for place, key in enumerate(keys)}
    rows = []
    for model in plan:
        for key in keys:
            share = {word: dice.betavariate(0.8, 0.8) for word in WORDS}
            for region in model["regions"]:
                for run in range(1, runs + 1):
                    if dice.random() < missing / 2:
                        continue
                    moved = region == model["regions"][-1]
                    text = " ".join(other(w, dice, shift if moved else 0) for w in WORDS if dice.random() < share[w])
                    category: str | None = dice.choice(CATEGORIES) if dice.random() < withheld else "answer"
                    if dice.random() < missing / 2:
                        category = None
                    rows.append(row(model["id"], region, key, run, category, text))
    dice.shuffle(rows)
    return {
        "job_id": f"job-{seed}",
        "status": "completed",
        "cross_region_status": "completed",
        "created_at": "2026-01-01T00:00:00Z",
        "questions": [{"id": key, "question_key": key, "text": f"What of {key}?"} for key in keys],
        "regions": sorted(REGIONS[:regions]),
        "models": plan,
        "runs": runs,
        "controls": keys[:controls],
        "facts": facts_of if facts else {},
        "conditions": [conditions(model["id"], region) for model in plan for region in model["regions"]],
        "executions": rows,
    }


def other(word: str, dice: random.Random, shift: float) -> str:
    return f"{word}x" if shift and dice.random() < shift else word


def row(model: str, region: str, key: str, run: int, category: str | None, text: str) -> dict[str, Any]:
    """Return one call of an export; without a category it failed."""
    answered = category is not None
    text = "" if category == "content_filter" else text
    return {
        "model_id": model,
        "region": region,
        "question_id": key,
        "question_key": key,
        "run_no": run,
        "status": "completed" if answered else "failed",
        "category": category,
        "category_source": ("filter" if category == "content_filter" else "rules") if answered else None,
        "evidence": "",
        "language": ("en" if text else "und") if answered else None,
        "words": len(text.split()) if answered else None,
        "seed": run,
        "output": {"response": text, "refused": False} if answered else None,
    }


def conditions(model: str, region: str) -> dict[str, Any]:
    """Return what a region's calls of a model had in common."""
    return {
        "region": region,
        "model_id": model,
        "system_prompt": "You are a helpful assistant.",
        "upstream": model,
        "parameters": {"temperature": 1.0, "max_tokens": 500},
        "seeds": "own",
        "served_models": [model],
        "simulated": False,
    }
