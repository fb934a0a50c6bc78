"""The smallest p of a test is never above the p that the test gave, in both programs of the method."""

from collections.abc import Mapping
from typing import Any

import pytest

from runner_core.comparison.compare import analyse
from runner_core.comparison.headline import headline
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, export
from tests.recompute_script import loaded

script = loaded()
Sizes = Mapping[str, tuple[int, int]]  # of a question, by region: the number of answers, and of withheld ones

FEW_WEIGH_MORE: dict[str, Sizes] = {
    "q1": {"A": (5, 0), "B": (1, 1), "C": (5, 0)},
    "q2": {"A": (1, 1), "B": (5, 0), "C": (5, 0)},
}
BELOW_THE_BOUND: dict[str, Sizes] = {"q": {"A": (7, 7), "B": (9, 0)}}  # 11,440 assignments are counted
DRAWN_QUESTION: dict[str, Sizes] = {"q": {"A": (10, 2), "B": (10, 0), "C": (10, 0)}}
FULL: dict[str, Sizes] = {"q": {"A": (3, 2), "B": (3, 0)}}


def exported(shape: Mapping[str, Sizes], **job: Any) -> dict[str, Any]:
    """A job whose answers are of these numbers; the others failed."""

    def answer(model: str, question: str, region: str, run: int) -> Answered:
        size, withheld = shape[question][region]
        if run > size:
            return None, ""
        return ("hard_refusal", "No.") if run <= withheld else ("answer", "It is so.")

    regions = tuple(next(iter(shape.values())))
    runs = max(size for sizes in shape.values() for size, _ in sizes.values())
    return export(answer, regions=regions, questions=tuple(shape), runs=runs, **job)


def both_of(result: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The (min_p, p) of each test that has both."""
    found = [(model[name]["min_p"], model[name]["p"]) for model in result["models"] for name in ("withheld", "wording")]
    for model in result["models"]:
        for question in model["questions"]:
            found += [(question[f"min_p_{name}"], question[f"p_{name}"]) for name in ("withheld", "wording")]
    return [(smallest, p) for smallest, p in found if smallest is not None and p is not None]


@pytest.mark.parametrize("shape", [FEW_WEIGH_MORE, BELOW_THE_BOUND, DRAWN_QUESTION, FULL])
@pytest.mark.parametrize("job", ["job-1", "job-2", "job-3"])
def test_no_smallest_p_is_above_the_p_beside_it(shape: Mapping[str, Sizes], job: str) -> None:
    document = exported(shape, job_id=job)
    result = analyse(Material.of_export(document))
    found = both_of(result)
    assert found
    assert [(smallest, p) for smallest, p in found if smallest > p] == []
    wrong, _, _ = script.check(document, {"state": "ready", "job_id": job, **result})
    assert wrong == []


def test_the_check_values_of_unequal_numbers() -> None:
    (model,) = analyse(Material.of_export(exported(FEW_WEIGH_MORE)))["models"]
    assert model["withheld"]["p"] == pytest.approx(1 / 121, abs=0.003)
    assert model["withheld"]["min_p"] == model["withheld"]["p"]
    (model,) = analyse(Material.of_export(exported(BELOW_THE_BOUND)))["models"]
    (question,) = model["questions"]
    assert question["p_withheld"] == question["min_p_withheld"] == 1 / 11_440


def test_a_job_that_found_so_small_a_p_had_enough_answers() -> None:
    """After a correction for many tests the model does not differ, but its answers could have told."""
    result = analyse(Material.of_export(exported(FEW_WEIGH_MORE)))
    model = result["models"][0]
    model["withheld"] |= {"p_holm": 0.09, "differs": False}
    model["wording"] |= {"min_p": None}
    assert model["withheld"]["p"] < 0.05
    assert headline(result, {})["kind"] == "none"
