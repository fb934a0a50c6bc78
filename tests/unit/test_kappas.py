"""Cohen's kappa between people, detector and judge: from thirty doubly labelled answers on, as a stranger has it."""

from typing import Any

import pytest

from runner_core.comparison.compare import analyse
from runner_core.comparison.design import labels
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, export
from tests.recompute_script import loaded

script = loaded()


def said(model: str, question: str, region: str, run: int) -> Answered | None:
    return "answer", f"{model} {question} {region} {run}"


def labelled(number: int) -> dict[str, Any]:
    """An export whose first answers were labelled by two people; a third of the newest labels are refusals."""
    document = export(said, regions=("EU", "US"), questions=("q0", "q1", "q2", "q3"), runs=5)
    for place, call in enumerate(document["executions"][:number]):
        category = "hard_refusal" if place % 3 == 0 else "answer"
        call |= {
            "category": category,
            "category_source": "human",
            "detected_category": "answer" if place == 3 else category,
            "judge_category": None if place == 1 else category,
            "human_categories": [category, "partial_refusal" if place % 2 else "deflection"],
        }
    return document


def test_three_kappas_with_their_numbers() -> None:
    found = labels(Material.of_export(labelled(36)))["kappas"]
    assert found == {
        "detector": {"kappa": pytest.approx(1 - (1 / 36) / (1 - (12 * 11 + 24 * 25) / 36**2)), "n": 36},
        "judge": {"kappa": 1.0, "n": 35},
        "person": {"kappa": 0.0, "n": 36},
    }


def test_no_kappa_below_thirty_answers() -> None:
    found = labels(Material.of_export(labelled(30)))
    assert {name: one["kappa"] is None for name, one in found["kappas"].items()} == {
        "detector": False,
        "judge": True,
        "person": False,
    }
    assert (found["kappa"], found["doubly_labelled"]) == (found["kappas"]["detector"]["kappa"], 30)
    assert found["kappas"]["judge"]["n"] == 29


@pytest.mark.parametrize("number", [0, 29, 30, 36])
def test_a_stranger_computes_them_from_the_export(number: int) -> None:
    document = labelled(number)
    told = {"state": "ready", "job_id": document["job_id"], **analyse(Material.of_export(document))}
    wrong, _, left = script.check(document, told)
    assert (wrong, [path for path in left if "kappa" in path]) == ([], [])
    told["labels"]["kappas"]["judge"]["n"] += 1
    assert [path for path, _, _ in script.check(document, told)[0]] == ["labels.kappas.judge.n"]


def test_labels_beside_the_one_that_counts_do_not_change_the_inputs_hash() -> None:
    """The newest label's id does; it names them all."""
    document = labelled(30)
    before = Material.of_export(document).sha256()
    for call in document["executions"][:30]:
        call |= {"judge_category": "deflection", "human_categories": [call["category"]]}
    assert Material.of_export(document).sha256() == before
    assert Material.of_export(document | {"label_id": 9}).sha256() != before
