"""What a job of a given size could find, before money is spent on it. No numpy: any command may ask."""

from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from runner_core.comparison import power, smallest
from runner_core.comparison.families import LEVEL
from runner_core.comparison.material import MAX_RUNS


def min_p_question(regions: int, runs: int) -> Fraction | None:
    """Return the smallest p-value that one question's wording can give; None with one region.

    It is 1 with one run: one answer per region can't tell a region from chance.
    """
    return smallest.bounded(smallest.wording([runs] * regions)) if regions > 1 else None


def runs_for_question(regions: int, tests: int = 1) -> int | None:
    """Return the runs from which one question can be marked among `tests`; None if ten are too few."""
    return _least(lambda runs: min_p_question(regions, runs), tests) if regions > 1 else None


def runs_for_model(questions: int, regions: int, tests: int = 1) -> int | None:
    """Return the runs from which a model's wording can differ over its questions; None if ten are too few."""
    if regions < 2 or not questions:
        return None
    return _least(lambda runs: smallest.wording_of_model([[runs] * regions] * questions), tests)


def plan(questions: int, regions: int, runs: int, models: int = 1) -> dict[str, Any]:
    """Return what a job of this size could find, as JSON. `questions` are those of one model, without controls.

    The p-values are for answers without an error. A member is None where nothing can be tested or no row fits.
    """
    one = min_p_question(regions, runs)
    tested = regions > 1 and runs > 1 and questions > 0
    withheld = power.withheld(questions, runs, regions)
    wording = power.wording(questions, runs, regions)
    return {
        "questions": questions,
        "regions": regions,
        "runs": runs,
        "models": models,
        "calls": questions * regions * runs * models,
        "min_p_question": None if one is None else float(one),
        "min_p_model_wording": float(smallest.wording_of_model([[runs] * regions] * questions)) if tested else None,
        "can_mark_a_question": one is not None and one <= LEVEL,
        "can_mark_one_alone": one is not None and one * questions * models <= LEVEL,
        "runs_needed_for_one_question": runs_for_question(regions),
        "runs_needed_for_one_alone": runs_for_question(regions, questions * models),
        "runs_needed_for_the_model": runs_for_model(questions, regions, 2 * models),
        "power_withheld": withheld and {"added": power.ADDED, **asdict(withheld)},
        "power_wording": wording
        and {
            "questions": power.WORDING_QUESTIONS,
            "excess": power.EXCESSES,
            "excess_cold": power.EXCESSES_COLD,
            "excess_of_one_question": power.EXCESSES_OF_ONE_QUESTION,
            "excess_of_one_question_cold": power.EXCESSES_OF_ONE_QUESTION_COLD,
            **asdict(wording),
        },
    }


def _least(smallest_p: Callable[[int], Fraction | None], tests: int) -> int | None:
    found = ((runs, smallest_p(runs)) for runs in range(2, MAX_RUNS + 1))
    return next((runs for runs, p in found if p is not None and p * tests <= LEVEL), None)
