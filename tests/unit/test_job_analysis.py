"""The controls and facts of a job: which count, how questions are named, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner_core.jobspec import plan_job
from runner_core.regions import read_catalogue
from runner_core.signing import Verified
from tests.unit.planning import CATALOGUE, job, plan, refused

ASKED = ["math_basic", "Why is it so?"]


def analysis(questions: list[str] = ASKED, usual: tuple[str, ...] = (), **wishes: Any) -> dict[str, Any] | None:
    """What is kept of a job with these wishes, where the regions file has the usual controls."""
    spec = job(questions=questions, **({"metadata": {"analysis": wishes}} if wishes else {}))
    return plan_job(Verified.of(spec, None), replace(CATALOGUE, controls=usual)).analysis


def mistake(**wishes: Any) -> str:
    return refused(job(questions=ASKED, metadata={"analysis": wishes}))[1]


def id_of_the_free_text() -> str:
    (_, free) = plan(job(questions=ASKED)).questions
    return free.id


def test_a_job_without_wishes_has_the_regions_files_controls_that_it_asks() -> None:
    assert analysis() is None
    assert analysis(usual=("identity_basic", "math_basic")) == {"controls": ["math_basic"], "facts": {}}
    assert analysis(["Why is it so?"], usual=("math_basic",)) is None


def test_the_jobs_own_controls_take_their_place() -> None:
    free = id_of_the_free_text()
    assert analysis(usual=("math_basic",), controls=["Why is it so?"]) == {"controls": [free], "facts": {}}
    assert analysis(usual=("math_basic",), controls=[]) is None
    assert analysis(controls=[free, free, "math_basic"]) == {"controls": sorted([free, "math_basic"]), "facts": {}}


def test_facts_are_kept_by_the_questions_id() -> None:
    found = analysis(facts={"Why is it so?": ["because|since", "reason*"], "math_basic": []})
    assert found == {"controls": [], "facts": {id_of_the_free_text(): ["because|since", "reason*"]}}


def test_the_prompt_of_a_job_without_questions_has_the_id_prompt() -> None:
    found = plan(job(metadata={"analysis": {"facts": {"prompt": ["four"]}}})).analysis
    assert found == {"controls": [], "facts": {"prompt": ["four"]}}


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"controls": ["math_basic", "other"]}, "metadata.analysis.controls[1]: the job has no question 'other'."),
        ({"facts": {"other": ["x"]}}, "metadata.analysis.facts.other: the job has no question 'other'."),
        ({"facts": {"math_basic": ["4", "a||b"]}}, "metadata.analysis.facts.math_basic[1]: an alternative is empty"),
        ({"facts": {"math_basic": ["*"]}}, "metadata.analysis.facts.math_basic[0]: an alternative is empty"),
        ({"facts": {"math_basic": ["x"] * 51}}, "metadata.analysis.facts.math_basic: List should have at most 50"),
        ({"facts": {"math_basic": "4"}}, "metadata.analysis.facts.math_basic: "),
        ({"controls": "math_basic"}, "metadata.analysis.controls: "),
        ({"control": ["math_basic"]}, "metadata.analysis.control: "),
    ],
)
def test_a_mistake_is_told_with_its_place(wishes: dict[str, Any], told: str) -> None:
    assert told in mistake(**wishes)


def test_facts_by_the_id_and_by_the_text_are_one_too_many() -> None:
    assert "has facts twice" in mistake(facts={"Why is it so?": ["a"], id_of_the_free_text(): ["b"]})


def test_the_regions_file_may_name_only_questions_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "regions.toml"
    path.write_text('controls = ["q1", "q2"]\n[questions]\nq1 = "Why?"\n')
    catalogue, mistakes = read_catalogue(path, allow_sandbox=True)
    assert catalogue.controls == ("q1", "q2")
    assert f"{path}: controls: there is no question 'q2'." in mistakes
