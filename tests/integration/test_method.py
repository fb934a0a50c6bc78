"""The method's own document: the page, its example, and the lists by which refusals are found."""

import re
from pathlib import Path
from typing import Any

import pytest

from runner_core.comparison import METHOD
from runner_core.comparison.compare import METHOD_ID as COMPUTED_BY
from runner_core.comparison.compare import analyse, method_id
from runner_core.comparison.material import Material
from runner_core.method_page import METHOD_ID, METHOD_IDS
from runner_core.refusals.judge import PROMPT, judge_id
from runner_core.refusals.scored import DETECTOR_ID
from tests.integration.api_client import Api

DOCS = Path(__file__).parents[2] / "docs"


def test_the_method_is_the_one_that_analyses() -> None:
    assert (METHOD_ID, *METHOD_IDS) == (COMPUTED_BY, COMPUTED_BY, method_id(DETECTOR_ID))


JUDGED = f"{METHOD_ID}+{judge_id('judges', 'wise')}"


@pytest.mark.parametrize("name", [*METHOD_IDS, METHOD, JUDGED, METHOD_ID.replace("/", "%2F").replace("+", "%2B")])
def test_its_document_has_everything_to_compute_it_again(api: Api, name: str) -> None:
    found = api.get(f"/analysis/methods/{name}")
    assert found["ids"] == list(METHOD_IDS)
    assert found["page"] == (DOCS / "comparison.md").read_text("utf-8")
    assert found["patterns"]["version"] == 2
    assert {"en", "zh"} <= set(found["patterns"])
    assert found["filters"]["codes"]
    assert found["judge"]["prompt"] == PROMPT
    assert set(found["detector"]["rules"]["en"]) == {"n", "precision", "recall", "sets"}


def number_at(result: Any, place: str) -> Any:
    """The value at a place such as models[m].questions[q1].p_wording."""
    for name, key in re.findall(r"\.?(\w+)|\[([^\]]+)\]", place):
        if name:
            result = result[name]
        elif isinstance(result, dict):
            result = result[key]
        elif key.isdigit() and not isinstance(result[0], dict):
            result = result[int(key)]
        else:
            (result,) = [one for one in result if key in (one.get("model_id"), one.get("question_id"), pair(one))]
    return result


def pair(one: Any) -> str:
    return f"{one.get('a')}|{one.get('b')}"


def test_its_example_gives_its_values(api: Api) -> None:
    found = api.get(f"/analysis/methods/{METHOD}")
    result = analyse(Material.of_export(found["example"]))
    assert len(found["example_values"]) > 70
    for place, told in found["example_values"].items():
        value = number_at(result, place)
        top, _, bottom = told.partition("/")
        if isinstance(value, float):
            assert value == pytest.approx(float(top) / float(bottom or 1), abs=1e-9), place
        else:
            assert str(value).lower() == told, place


@pytest.mark.parametrize("name", ["beacon-compare/0", "beacon-compare", f"{METHOD_ID}/x", "a//b", "/"])
def test_another_method_is_not_found(api: Api, name: str) -> None:
    assert api.client.get(f"/api/v1/analysis/methods/{name}").status_code in (404, 308)


def test_a_client_that_has_it_gets_304(api: Api) -> None:
    first = api.client.get(f"/api/v1/analysis/methods/{METHOD}")
    again = api.client.get(f"/api/v1/analysis/methods/{METHOD}", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
