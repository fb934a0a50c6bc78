"""What a result says of the judge whose labels count: its kappa over all jobs, and how often it named no category."""

from typing import Any

import pytest

from runner_cli.analysed import Analysed, is_analysis
from runner_cli.analysis_text import lines
from runner_core.comparison.compare import analyse
from runner_core.comparison.export import export as export_of
from runner_core.comparison.material import Material
from tests.analysed_job import analysed, exported
from tests.comparison_jobs import Answered, export
from tests.recompute_script import loaded
from tests.unit.test_export import JOB, UNITS, rows

script = loaded()
JUDGE = {"kappa": 0.8125, "n": 64, "silent": 7}


def said(model: str, question: str, region: str, run: int) -> Answered:
    return "answer", f"{model} {question} {region} {run}"


def judged(silent: dict[str, int], judge: dict[str, Any] | None = JUDGE) -> dict[str, Any]:
    """An export of 20 answers of each region. The judge named no category for so many of the last 10.

    The first four of a region are not the judge's: two of a filter, and two without a text.
    """
    document = export(said, questions=("q0", "q1", "q2", "q3"), runs=5)
    seen = dict.fromkeys(document["regions"], 0)
    for call in document["executions"]:
        place = seen[call["region"]]
        seen[call["region"]] += 1
        call |= {"detected_category": "answer", "judge_category": "answer", "category_source": "judge"}
        if place < 2:
            call |= {"category": "content_filter", "detected_category": "content_filter", "category_source": "filter"}
        elif place < 4:
            call |= {"category": "non_answer", "detected_category": "non_answer", "output": {"response": " \n"}}
        if place < 4 or place >= 20 - silent.get(call["region"], 0):
            call |= {"judge_category": None}
    return document | ({"judge": judge} if judge else {})


def codes(document: dict[str, Any]) -> list[str]:
    return [caution["code"] for caution in analyse(Material.of_export(document))["cautions"]]


def test_an_export_says_why_the_judge_counts_and_only_where_one_does() -> None:
    of_analysis = JUDGE | {"answers_here": 32, "silent_here": 5}
    assert export_of(JOB, rows(), (), UNITS, None, "judge-1", of_analysis)["judge"] == JUDGE
    assert "judge" not in export_of(JOB, rows(), (), UNITS, None, None, of_analysis)


def test_the_result_says_how_often_the_judge_was_silent() -> None:
    found = analyse(Material.of_export(judged({"EU": 2, "US": 3})))["labels"]["counting_judge"]
    assert found == JUDGE | {"answers_here": 32, "silent_here": 5}
    assert "counting_judge" not in analyse(Material.of_export(judged({"EU": 2}, None)))["labels"]


def test_what_was_measured_is_a_part_of_the_input() -> None:
    """Equal inputs give equal results: without it two results with another kappa would have one hash."""
    hashes = {Material.of_export(judged({}, JUDGE | {name: 1})).sha256() for name in JUDGE}
    without = Material.of_export(judged({}, None)).sha256()
    assert len({*hashes, without, Material.of_export(judged({})).sha256()}) == 5
    assert Material.of_export(judged({}, None) | {"judge": None}).sha256() == without


def test_a_stranger_counts_the_silent_answers_again() -> None:
    document = judged({"EU": 2, "US": 3})
    told = {"state": "ready", "job_id": document["job_id"], **analyse(Material.of_export(document))}
    wrong, _, left = script.check(document, told)
    assert (wrong, [path for path in left if "counting_judge" in path]) == ([], [])
    for name in told["labels"]["counting_judge"]:
        changed = told["labels"]["counting_judge"] | {name: told["labels"]["counting_judge"][name] + 1}
        other = told | {"labels": told["labels"] | {"counting_judge": changed}}
        assert [path for path, _, _ in script.check(document, other)[0]] == [f"labels.counting_judge.{name}"]


@pytest.mark.parametrize("judge", [7, {}, JUDGE | {"kappa": "high"}, JUDGE | {"n": 1.5}, JUDGE | {"silent": None}])
def test_a_stranger_is_told_of_a_judge_that_is_none(judge: Any) -> None:
    with pytest.raises(script.BadFile):
        script.read_job(judged({}) | {"judge": judge})


@pytest.mark.parametrize(
    ("silent", "expected"),
    [
        ({"EU": 0, "US": 1}, []),  # 0 and 1 of 16
        ({"EU": 0, "US": 2}, ["silence_differs"]),
        ({"EU": 4, "US": 5}, []),
        ({"EU": 6, "US": 3}, ["silence_differs"]),
    ],
)
def test_a_caution_where_the_judge_is_silent_in_one_region_more_than_in_another(
    silent: dict[str, int], expected: list[str]
) -> None:
    assert codes(judged(silent)) == expected
    assert codes(judged(silent, None)) == [], "the judge's labels do not count"


def test_the_command_line_says_why_the_judge_counts() -> None:
    document = exported(runs=5)
    for call in document["executions"][1:]:
        call |= {"judge_category": call["category"]}
    told = analysed(document | {"judge": JUDGE})
    assert is_analysis(told)
    text = "\n".join(lines(Analysed(told), None))
    assert (
        "people against the judge over all jobs, kappa 0.81 (64 answers; 7 more without a category of the judge). "
        "Here it named none for 1 of 20 answers."
    ) in text
    assert "The judge's categories count" not in "\n".join(lines(Analysed(analysed(document)), None))
