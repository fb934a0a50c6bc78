"""The worked example of the method's page, whose numbers another program computed from the page alone."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from runner_core.comparison.compare import METHOD_ID, analyse
from runner_core.comparison.material import Material
from tests.comparison_jobs import section_9

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    document = json.loads((DATA / "comparison_export.json").read_text())
    (model,) = analyse(Material.of_export(document))["models"]
    return model


def question(model: dict[str, Any], key: str) -> dict[str, Any]:
    return next(q for q in model["questions"] if q["question_id"] == key)


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("key", "s", "p", "adjusted", "smallest"),
    [
        ("q1", 2352000000, "1/10", "2/5", "1/10"),
        ("q2", 1960000980, "3/10", "3/5", "1/10"),
        ("q3", 840000420, "1", "1", "1/3"),
        ("c1", 2380000560, "7/10", "14/15", "1/10"),
    ],
)
def test_wording_of_questions(model: dict[str, Any], key: str, s: int, p: str, adjusted: str, smallest: str) -> None:
    found = question(model, key)
    assert found["s_wording"] == str(s)
    assert found["p_wording"] == float(Fraction(p))
    assert found["p_wording_bh"] == float(Fraction(adjusted))
    assert found["min_p_wording"] == float(Fraction(smallest))
    assert (found["verdict"], found["alone"]) == ("cannot_tell", False)


@pytest.mark.parametrize(
    ("key", "t", "p", "smallest"),
    [("q1", 12700800, "1", "1"), ("q3", 36691200, "2/5", "1/10"), ("c1", 0, "1", "1")],
)
def test_withheld_of_questions(model: dict[str, Any], key: str, t: int, p: str, smallest: str) -> None:
    found = question(model, key)
    assert (found["t_withheld"], found["p_withheld"]) == (str(t), float(Fraction(p)))
    assert (found["min_p_withheld"], found["p_withheld_bh"]) == (float(Fraction(smallest)), 1.0)


def test_facts(model: dict[str, Any]) -> None:
    assert (question(model, "q1")["t_facts"], question(model, "q1")["p_facts"]) == ("80655160320000", 0.4)
    assert (question(model, "q3")["t_facts"], question(model, "q3")["p_facts"]) == ("50409475200000", 1.0)
    assert question(model, "q2")["p_facts"] is None
    facts = model["facts"]
    assert (facts["t"], facts["p"], facts["p_holm"]) == ("252047376000000", 0.201, 0.2238)
    assert facts["regions"] == {
        "EU": {"share": 0.5, "answers": 5},
        "US": {"share": near(0.9166666666666667), "answers": 4},
    }


def test_the_model_is_tested_by_draws(model: dict[str, Any]) -> None:
    wording, withheld, (pair,) = model["wording"], model["withheld"], model["pairs"]
    assert (wording["s"], wording["p"], wording["p_holm"]) == ("5152001400", 0.0746, 0.2238)
    assert wording["min_p"] == float(Fraction(1, 300))
    assert (withheld["t"], withheld["p"], withheld["p_holm"]) == ("172166400", 0.0996, 0.2238)
    assert withheld["min_p"] == 0.0259, "by the draws: q3 has unequal numbers of answers"
    assert (pair["a"], pair["b"], pair["p_wording"], pair["p_withheld"]) == ("EU", "US", 0.0747, 0.1017)


def test_rates_and_their_difference(model: dict[str, Any]) -> None:
    regions, controls, (pair,) = model["withheld"]["regions"], model["withheld"]["controls"], model["pairs"]
    assert (regions["EU"]["rate"], regions["EU"]["low"]) == (0, 0)
    assert regions["EU"]["high"] == near(0.32440756488388023)
    assert (regions["EU"]["answers"], regions["EU"]["errors"], regions["EU"]["range"]) == (8, 1, [0, near(1 / 9)])
    assert regions["US"]["rate"] == near(4 / 9)
    assert (regions["US"]["low"], regions["US"]["high"]) == (near(0.1933606713767484), near(0.7275112885769615))
    assert pair["points"] == near(4 / 9)
    assert (pair["low"], pair["high"]) == (near(0.034220933109709695), near(0.7275112885769615))
    assert [controls[r]["high"] for r in ("EU", "US")] == [near(0.5614970317550455), near(0.6576197724933469)]


def test_the_excess(model: dict[str, Any]) -> None:
    (pair,), wording = model["pairs"], model["wording"]
    assert (pair["floor"], pair["across"], pair["excess"]) == (
        near(0.51111125),
        near(0.7796297222222222),
        near(0.2685184722222222),
    )
    assert (pair["low_excess"], pair["high_excess"]) == (near(-0.12816793987444364), near(0.665204884318888))
    assert (wording["excess"], wording["low"], wording["high"]) == (pair["excess"], None, None)
    assert wording["controls"]["excess"] == near(-0.11111116666666665)


def test_the_design() -> None:
    result = analyse(Material.of_export(json.loads((DATA / "comparison_export.json").read_text())))
    design = result["design"]
    assert [design[name] for name in ("planned", "usable", "non_answers", "errors")] == [24, 22, 1, 1]
    assert (design["min_p_question"], design["runs_needed_for_one_question"]) == (0.1, 4)
    assert result["method"] == METHOD_ID == "beacon-compare/1+refusal-rules/2"


def test_the_fixture_is_what_the_method_makes_of_its_export() -> None:
    fixture = json.loads((DATA / "analysis.json").read_text())
    result = analyse(Material.of_export(section_9()))
    assert json.loads(json.dumps(result)) == {name: fixture[name] for name in result}
    asia = fixture["models"][0]["withheld"]["regions"]["ASIA"]
    assert sum(asia["categories"].values()) == asia["answers"] == 44
    assert asia["categories"]["hard_refusal"] == asia["withheld"] == 18
    assert fixture["design"]["usable"] + fixture["design"]["errors"] == fixture["design"]["planned"]
