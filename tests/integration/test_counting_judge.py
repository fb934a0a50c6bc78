"""The page and the export of a job whose analysis counts a judge's labels: both say why they count."""

import re
from typing import Any

from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from runner_core.judge_settings import Judge
from tests.integration.analysed_jobs import analysed, ended
from tests.integration.api_client import Api
from tests.integration.portal_pages import get

JUDGE = Judge("judges", "wise").id
MEASURED = {"kappa": 0.8125, "n": 64, "silent": 7}


def how(api: Api, job_id: str) -> str:
    """The words of the part "How this was computed"."""
    part = get(api, f"/jobs/{job_id}/compare").partition('aria-labelledby="how"')[2].partition("</section>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part))


def compare_json(api: Api, job_id: str) -> Any:
    return api.client.get(f"/jobs/{job_id}/compare.json").get_json()


def test_page_and_export_say_why_the_judge_counts(api: Api) -> None:
    job_id = ended(api)
    result = analysed(api, job_id, judge=JUDGE, measured=MEASURED)
    document = compare_json(api, job_id)
    assert document["judge"] == MEASURED
    material = Material.of_export(document)
    assert material.sha256() == result["input_sha256"]
    assert analyse(material) == result, "a stranger computes the same from the export"
    here = result["labels"]["counting_judge"]
    assert here["silent_here"] == here["answers_here"] > 0, "the judge has said nothing of this job"
    words = how(api, job_id)
    assert "Why the judge counts kappa 0.81 (n = 64)" in words
    assert "7 more without a category" in words
    assert f"named none for {here['silent_here']} of {here['answers_here']} answers" in words


def test_without_a_judge_neither_says_anything(api: Api) -> None:
    job_id = ended(api)
    analysed(api, job_id)
    assert "judge" not in compare_json(api, job_id)
    assert "Why the judge counts" not in how(api, job_id)


def test_an_analysis_without_the_measure_has_an_export(api: Api) -> None:
    """One of a method that did not keep it."""
    job_id = ended(api)
    analysed(api, job_id, judge=JUDGE)
    assert "judge" not in compare_json(api, job_id)
    assert "Why the judge counts" not in how(api, job_id)
