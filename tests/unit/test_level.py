"""The comparison's level and power, a short form of `make level`: the whole way from a request to a verdict.

Everything is drawn by seeds that follow from names, so that each number is always the same.
"""

import json
from dataclasses import replace

import pytest

from bench.level import Scenario, measured, scenarios, table
from bench.simulated_job import Shape, export_of
from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from tests import comparison_page

SAME, SHIFTED = Shape(questions=6, runs=4), Shape(questions=6, runs=4, vary=0.5, shift=0.4)


def test_where_nothing_differs_few_models_are_said_to_differ() -> None:
    found = measured(Scenario("nothing differs", "own", SAME, 20, most=0.1))
    assert found.is_right, found
    assert set(found.verdicts) <= {"no_difference_found", "cannot_tell", "wording_differs"}
    assert found.verdicts["wording_differs"] <= 0.05 * found.verdicts.total()


def test_a_shifted_region_is_found() -> None:
    found = measured(Scenario("shifted", "own", SHIFTED, 5, least=1.0))
    assert found.is_right, found
    assert min(found.excess) > 0.02


@pytest.mark.parametrize("shape", [SAME, SHIFTED])
def test_with_shared_seeds_nothing_is_found_not_even_what_differs(shape: Shape) -> None:
    found = measured(Scenario("shared", "run", shape, 5, most=0.0))
    assert found.is_right, found


def test_the_jobs_differ_in_nothing_but_the_words() -> None:
    """So that what is found is in the words: own seeds, equal conditions, one caution."""
    first, again = (json.dumps(export_of("job-1", SHIFTED), default=str) for _ in range(2))
    assert first == again
    result = analyse(Material.of_export(export_of("job-1", SHIFTED)))
    assert [caution["code"] for caution in result["cautions"]] == ["simulated"]
    assert result["design"]["usable"] == result["design"]["planned"] == 3 * 6 * 4
    shared = analyse(Material.of_export(export_of("job-1", SHIFTED, lambda call: call.run_no)))
    assert "shared_seeds" in [caution["code"] for caution in shared["cautions"]]


def test_the_page_has_the_table_of_the_whole_measurement() -> None:
    rows = [line.split(" | ") for line in comparison_page.part("level").splitlines() if line.startswith("| ")][2:]
    asked = scenarios(200, 50)
    assert [(row[0].lstrip("| "), float(row[1]), int(row[3]), row[5]) for row in rows] == [
        (s.name, s.shape.vary, s.jobs, s.bar) for s in asked
    ]
    for row, scenario in zip(rows, asked, strict=True):
        share = float(row[4].partition("(")[2].rstrip(")"))
        assert scenario.least <= share <= scenario.most


def test_the_table_has_a_row_for_each_scenario() -> None:
    found = [measured(Scenario("one", "own", Shape(runs=2, questions=1), 1))]
    assert [line.split(" | ")[0] for line in table(found) if line.startswith("| ")] == ["| where", "| ---", "| one"]


@pytest.mark.parametrize(
    ("excess", "told"), [(-0.0001, "0.000"), (0.0, "0.000"), (-0.0006, "-0.001"), (0.028, "0.028")]
)
def test_an_excess_of_nothing_has_no_minus(excess: float, told: str) -> None:
    found = replace(measured(Scenario("same", "own", Shape(questions=1, runs=2), 1)), excess=[excess])
    (row,) = [line for line in table([found]) if line.startswith("| same")]
    assert row.endswith(f" | {told} |")
