"""Intervals, corrections, the distance's quality and the plan: check values and what holds always."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_core.comparison import power
from runner_core.comparison.design import kappa
from runner_core.comparison.families import benjamini_hochberg, holm
from runner_core.comparison.intervals import bounds, difference, rate, wilson
from runner_core.comparison.plan import plan
from runner_core.comparison.words import distance, words

PAIRS = [json.loads(line) for line in (Path(__file__).parents[1] / "data/pairs.jsonl").read_text().splitlines()]
P_VALUES = st.lists(st.fractions(Fraction(1, 10_000), 1), min_size=1, max_size=8)


def near(value: float) -> object:
    return pytest.approx(value, abs=1e-9)


def test_wilson_of_a_textbook() -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion, 1998: 81 of 263, 15 of 148, 0 of 20."""
    for y, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        found = wilson(y / n, n)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_the_hybrid_interval_of_a_textbook() -> None:
    """Newcombe, Interval estimation for the difference, 1998, method 10: 56/70 - 48/80, 10/10 - 0/10."""
    for a, b, low, high in (((48, 80), (56, 70), 0.0524, 0.3339), ((0, 10), (10, 10), 0.6075, 1)):
        found = difference([a], [b])
        assert found
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_questions_that_differ_give_a_narrower_interval() -> None:
    alike, unlike = rate([(5, 10), (5, 10)]), rate([(0, 10), (10, 10)])
    assert alike
    assert unlike
    assert alike.value == unlike.value == 0.5
    assert unlike.high - unlike.low < alike.high - alike.low
    found = rate([(1, 3), (1, 3), (2, 3)])
    assert found
    assert (found.low, found.high) == (near(0.19336067137674837), near(0.7275112885769616))


def test_the_range_of_errors() -> None:
    assert bounds([(1, 4, 1), (0, 0, 0), (0, 0, 2)]) == (near(0.1), near(0.7))
    assert bounds([(0, 0, 0)]) is None


@given(P_VALUES)
def test_holm_and_benjamini_hochberg(values: list[Fraction]) -> None:
    family = dict(enumerate(values))
    m, ordered = len(values), sorted(values)
    for place, key in enumerate(sorted(family, key=family.__getitem__)):
        assert holm(family)[key] == min(1, max((m - j) * ordered[j] for j in range(place + 1)))
        assert benjamini_hochberg(family)[key] == min(1, min(m * ordered[j] / (j + 1) for j in range(place, m)))
        assert family[key] <= benjamini_hochberg(family)[key] <= holm(family)[key] <= 1


def test_a_corrected_p_value_is_exact() -> None:
    assert float(holm(dict.fromkeys("abc", Fraction(1, 10_000)))["a"]) == 0.0003


def test_kappa() -> None:
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert kappa(pairs) == near(0.4)
    assert kappa([(False, False)] * 40) is None


def area(kind: str) -> float:
    """The share of (paraphrase, pair of this kind) in which the paraphrase is nearer; ties count half."""

    def found(*kinds: str) -> list[int]:
        chosen = [pair for pair in PAIRS if pair["kind"] in kinds]
        return [distance(frozenset(words(p["a"])), frozenset(words(p["b"]))) for p in chosen]

    alike, unlike = found("paraphrase", "reformatted"), found(kind)
    return sum((a < b) + (a == b) / 2 for a in alike for b in unlike) / (len(alike) * len(unlike))


@pytest.mark.parametrize(("kind", "least"), [("refusal", 0.99), ("unrelated", 0.99), ("official_line", 0.95)])
def test_the_distance_tells_kinds_of_texts_apart(kind: str, least: float) -> None:
    assert area(kind) >= least


def test_the_distance_does_not_see_a_contradiction() -> None:
    assert area("contradiction") < 0.5


def test_the_plan_of_a_job() -> None:
    found = plan(questions=10, regions=2, runs=5)
    assert (found["min_p_question"], found["calls"]) == (near(1 / 126), 100)
    assert (found["can_mark_a_question"], found["can_mark_one_alone"]) == (True, False)
    needed = ("runs_needed_for_one_question", "runs_needed_for_one_alone", "runs_needed_for_the_model")
    assert [found[name] for name in needed] == [4, 6, 2]
    assert found["power_withheld"]["found"] == (0.22, 0.67, 0.93, 1.0)
    assert found["power_wording"]["model"] == (0.64, 0.99, 1, 1)
    json.dumps(found, allow_nan=False)


def test_the_plan_of_a_job_that_can_find_nothing() -> None:
    found = plan(questions=2, regions=3, runs=1)
    assert [found[name] for name in ("min_p_model_wording", "power_withheld", "power_wording")] == [None] * 3
    assert found["min_p_question"] == 1
    assert not found["can_mark_a_question"]
    assert plan(questions=2, regions=1, runs=5)["runs_needed_for_one_question"] is None


@pytest.mark.parametrize(
    ("questions", "runs", "regions", "row"),
    [
        (10, 5, 2, (10, 5)),
        (12, 4, 2, (10, 3)),
        (49, 2, 2, (20, 2)),
        (3, 7, 2, (1, 5)),
        (4, 4, 2, None),
        (10, 5, 3, None),
    ],
)
def test_the_nearest_row_below(questions: int, runs: int, regions: int, row: tuple[int, int] | None) -> None:
    found = power.withheld(questions, runs, regions)
    assert (found and (found.questions, found.runs)) == row
    assert power.wording(9, 5, 2) is None
