"""What holds for every job: order of rows and names do not matter, p is never 0, missing calls need no repair."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, export, section_9

ROOT = Path(__file__).parents[2]
CATEGORIES = ["answer", "partial_refusal", "deflection", "hard_refusal", "content_filter", "non_answer", None]
CALLS = st.none() | st.tuples(st.sampled_from(CATEGORIES), st.sampled_from(["", "a b", "a c", "b c d", "北京 a"]))


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """Small jobs of every shape: some calls failed, some are not in the export."""
    regions = draw(st.sampled_from([("EU",), ("EU", "US"), ("ASIA", "EU", "US")]))
    questions = draw(st.sampled_from([("q1",), ("q1", "q2"), ("c1", "q1", "q2")]))

    def answer(model: str, question: str, region: str, run: int) -> Answered | None:
        return draw(CALLS)

    return export(
        answer,
        regions=regions,
        questions=questions,
        runs=draw(st.integers(1, 3)),
        controls=["c1"] if "c1" in questions else [],
        facts=draw(st.sampled_from([{}, {"q1": ["a", "b|c"]}])),
    )


def p_values(result: dict[str, Any]) -> list[float]:
    """Every p-value of a result."""
    found = []
    for model in result["models"]:
        parts = [model["withheld"], model["wording"], model["facts"], *model["pairs"], *model["questions"]]
        found += [p for part in parts for name, p in part.items() if name.startswith(("p_", "min_p")) or name == "p"]
    return [p for p in found if p is not None]


@given(jobs(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_does_not_matter(document: dict[str, Any], chance: Any) -> None:
    before = json.dumps(analyse(Material.of_export(document)))
    for member in ("executions", "questions", "conditions"):
        chance.shuffle(document[member])
    document["models"][0]["regions"].reverse()
    assert json.dumps(analyse(Material.of_export(document))) == before


@given(jobs())
@settings(max_examples=60, deadline=None)
def test_what_every_result_keeps_to(document: dict[str, Any]) -> None:
    result = analyse(Material.of_export(document))
    json.dumps(result, allow_nan=False)
    assert all(0 < p <= 1 for p in p_values(result))
    design, (model,) = result["design"], result["models"]
    assert design["usable"] + design["non_answers"] + design["errors"] == design["planned"]
    regions = model["withheld"]["regions"].values()
    for numbers in regions:
        assert numbers["withheld"] <= numbers["answers"]
        if numbers["rate"] is not None:
            assert 0 <= numbers["low"] <= numbers["rate"] <= numbers["high"] <= 1
            assert numbers["range"][0] <= numbers["rate"] + 1e-12
    for pair in model["pairs"]:
        assert pair["a"] < pair["b"]
        if pair["points"] is not None:
            assert -1 <= pair["low"] <= pair["points"] <= pair["high"] <= 1
    if document["runs"] == 1:
        assert model["wording"]["p"] is None
        assert all(question["p_wording"] is None for question in model["questions"])
    if len(document["regions"]) == 1:
        assert p_values(result) == model["pairs"] == []
    assert (result["headline"]["kind"] == "difference") == any(
        model[endpoint]["differs"] for endpoint in ("withheld", "wording", "facts")
    )


@given(jobs())
@settings(max_examples=30, deadline=None)
def test_names_matter_through_the_seeds_alone(document: dict[str, Any]) -> None:
    """Exact p-values, statistics, rates and verdicts stay when the job, its model and its questions are renamed."""
    before = analyse(Material.of_export(document))["models"][0]
    document["job_id"] = "another"
    document["models"][0]["id"] = "other"
    for row in document["executions"] + document["conditions"]:
        row["model_id"] = "other"
    after = analyse(Material.of_export(document))["models"][0]
    for one, other in zip(before["questions"], after["questions"], strict=True):
        for name in ("t_withheld", "s_wording", "min_p", "regions", "across", "happened", "excess", "points"):
            assert one[name] == other[name]
        if document["runs"] < 3:  # at most 90 assignments: all are counted
            assert [one[p] for p in ("p_withheld", "p_wording", "p_facts")] == [
                other[p] for p in ("p_withheld", "p_wording", "p_facts")
            ]
    assert before["withheld"]["regions"] == after["withheld"]["regions"]


@given(jobs())
@settings(max_examples=30, deadline=None)
def test_a_failed_call_is_like_one_that_is_missing(document: dict[str, Any]) -> None:
    before = analyse(Material.of_export(document))
    document["executions"] = [row for row in document["executions"] if row["category"] is not None]
    after = analyse(Material.of_export(document))
    assert {**before, "input_sha256": ""} == {**after, "input_sha256": ""}


def test_every_process_computes_the_same_bytes() -> None:
    program = (
        "import json; from tests.comparison_jobs import section_9; from runner_core.comparison.compare import analyse;"
        "from runner_core.comparison.material import Material;"
        "print(json.dumps(analyse(Material.of_export(section_9()))))"
    )
    here = json.dumps(analyse(Material.of_export(section_9())))
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, check=True, capture_output=True)
        assert done.stdout.decode().strip() == here


def test_the_package_brings_no_numpy() -> None:
    program = (
        "import sys; import runner_core.comparison.material, runner_core.comparison.words, runner_core.comparison.plan;"
        "import runner_core.comparison.power, runner_core.comparison.verdict; assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
