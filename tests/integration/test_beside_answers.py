"""What stands beside an answer on the pages: thoughts, a filter's words, a partial text, the answer's own time."""

import json
from typing import Any

import pytest

from tests.integration.api_client import Api
from tests.integration.portal_pages import NASTY, get


@pytest.fixture
def unit(api: Api) -> str:
    """The path of an execution with one answer."""
    job_id = api.submit(questions=["q1"], models=["m1"], constraints={"regions": ["US"]})
    api.finish(job_id, "US", {"m1": True})
    number = api.sql("SELECT id FROM executions")[0][0]
    return f"/executions/{number}"


def changed(api: Api, output: dict[str, Any] | None = None, **columns: Any) -> None:
    """Give the answer further members of its output, and columns."""
    api.sql("UPDATE answers SET output = output || %s::jsonb", json.dumps(output or {}))
    for name, value in columns.items():
        api.sql(f"UPDATE answers SET {name} = %s", value)  # noqa: S608 - our names


def test_thoughts_are_folded_and_escaped(api: Api, unit: str) -> None:
    changed(api, {"thoughts": NASTY})
    page = get(api, unit)
    assert f"<summary>Thoughts ({len(NASTY)} characters), no part of the answer</summary>" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(("kind", "what"), [("input", "prompt"), ("output", "answer")])
def test_a_filters_words_and_what_had_arrived(api: Api, unit: str, kind: str, what: str) -> None:
    told = {"response": "", "refused": True, "refusal_source": "filter", "filter": kind, "filter_words": "violence"}
    changed(api, told | {"partial": "Once upon"})
    page = get(api, unit)
    assert f"The provider&#39;s filter blocked the {what}" in page.replace("provider's", "provider&#39;s")
    assert "violence" in page
    assert "Once upon" in page
    assert "refused" in page


def test_waited_and_answered_are_told_apart(api: Api, unit: str) -> None:
    changed(api, waited_ms=91_000, answered_ms=200, duration_ms=91_200, paid="maybe")
    page = get(api, unit)
    assert "waited 1 min 31 s" in page
    assert "answered in 200 ms" in page
    assert "may have been paid for" in page
    job_id = api.sql("SELECT id FROM jobs")[0][0]
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/compare"):
        assert "200 ms" in get(api, path), "the model's speed"
        assert "1 min 31 s" not in get(api, path)


def test_an_answer_of_an_earlier_release_says_so(api: Api, unit: str) -> None:
    assert "an earlier release stored this answer" in get(api, unit)
    changed(api, served="{}", sent='{"seed": 7}')
    page = get(api, unit)
    assert "The provider does not say who answered." in page
    assert "<code>seed</code>" in page


def test_a_blocked_answer_is_compared_with_no_other(api: Api) -> None:
    job_id = api.submit(questions=["q1"], models=["m1"], constraints={"regions": ["US", "EU"]})
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": True})
    blocked = {"response": "", "filter": "input", "filter_words": "violence", "refused": True}
    api.sql("UPDATE answers SET output = output || %s::jsonb WHERE region = 'EU'", json.dumps(blocked))
    page = get(api, f"/jobs/{job_id}/compare?base=EU")
    assert "content filter" in page
    assert "violence" in page
    assert "<option selected>EU</option>" not in page


def test_percentiles_are_of_the_answers_own_times(api: Api, unit: str) -> None:
    api.sql("UPDATE executions SET duration_ms = 91200, answered_ms = 200, served = '[]'")
    page = get(api, "/operations")
    assert "median 200 ms" in page
    assert "1 min 31 s" not in page
    api.sql("UPDATE executions SET answered_ms = NULL, served = NULL")
    assert "median 1 min 31 s" in get(api, "/operations"), "of an earlier release the whole duration"
