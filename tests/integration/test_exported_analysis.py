"""The files of a comparison: the export is the analyst's input, and the analysis' files are its result."""

import csv
import io
import json
from typing import Any

import pytest

from runner_api.views.analysis_lines import COLUMNS
from runner_core import queries
from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from runner_core.method_page import METHOD_IDS
from runner_core.refusals.scored import Score, text_key
from runner_core.store import analyses
from tests.integration.analysed_jobs import add_label, analysed, ended
from tests.integration.api_client import Api

REFUSAL = "I'm sorry, but I can't help with that."
LONG = "<think>" + "I cannot answer that. " * 10 + "</think>" + "word " * 9_000
GAINED = [
    *("category", "category_source", "evidence", "language", "words", "seed", "finish_reason"),
    "judge_category",
]


def export(api: Api, job_id: str) -> Any:
    answer = api.client.get(f"/jobs/{job_id}/compare.json")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{job_id}.json"'
    return answer.get_json()


def table(api: Api, path: str) -> list[dict[str, str]]:
    file = api.client.get(path).data.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(file, newline="")))


def answered(api: Api, job_id: str, region: str, **texts: str | None) -> None:
    """Run a region with these answers by question; None is a failure."""
    token = api.claim(job_id, region)
    api.answer(job_id, region, token, {("m1", question): text for question, text in texts.items()})
    api.record(job_id, region, token, {"m1": True})


def mixed(api: Api) -> str:
    """A job with an answer, a refusal, a failure, and a text that is longer than what is compared."""
    job_id = api.submit()
    answered(api, job_id, "US", q1="One is a number.", q2=REFUSAL)
    answered(api, job_id, "EU", q1=LONG, q2=None)
    return job_id


def test_the_export_gives_the_analysis_that_is_stored(api: Api) -> None:
    """A stranger computes from the file what the analyst computed from shortened rows."""
    job_id = mixed(api)
    stored = analysed(api, job_id)
    material = Material.of_export(export(api, job_id))
    assert material.sha256() == stored["input_sha256"]
    assert json.dumps(analyse(material), sort_keys=True) == json.dumps(stored, sort_keys=True)


def test_the_export_finds_refusals_as_the_analysis_did(api: Api) -> None:
    """An analyst with sentence embeddings has stored what they say, and the file says the same."""
    job_id = mixed(api)
    score = Score(900_000, "One is a number.")
    stored = analysed(api, job_id, scores={text_key("One is a number."): score.stored()})
    document = export(api, job_id)
    assert [c["category_source"] for c in document["executions"]].count("embedding") == 1
    material = Material.of_export(document)
    assert material.sha256() == stored["input_sha256"]
    assert analyse(material)["method"] == stored["method"] == METHOD_IDS[1]
    assert api.get(f"/jobs/{job_id}/analysis")["method"] == METHOD_IDS[1]


def test_the_export_keeps_its_members_and_says_what_each_answer_is(api: Api) -> None:
    job_id = mixed(api)
    found = export(api, job_id)
    assert {"job_id", "status", "cross_region_status", "questions", "served_model_changes", "executions"} <= set(found)
    calls = {(call["region"], call["question_key"]): call for call in found["executions"]}
    kinds = {place: (call["category"], call["category_source"]) for place, call in calls.items()}
    assert kinds == {
        ("US", "q1"): ("answer", "rules"),
        ("US", "q2"): ("hard_refusal", "rules"),
        ("EU", "q1"): ("non_answer", "rules"),
        ("EU", "q2"): (None, None),
    }
    assert all(call["run_no"] == 1 for call in calls.values())
    assert calls["EU", "q1"]["output"]["response"] == LONG, "the whole text, though its beginning is compared"
    assert calls["US", "q1"]["output"]["usage"] == {"total_tokens": 3}


def test_a_spreadsheet_says_what_each_answer_is(api: Api) -> None:
    job_id = mixed(api)
    lines = table(api, f"/jobs/{job_id}/compare.csv")
    assert list(lines[0])[-len(GAINED) :] == GAINED
    for line, call in zip(lines, export(api, job_id)["executions"], strict=True):
        assert (line["question_key"], line["region"]) == (call["question_key"], call["region"])
        for name in set(GAINED) - {"finish_reason"}:
            assert line[name] == ("" if call[name] is None else str(call[name]))
    assert [line["finish_reason"] for line in lines] == ["stop", "stop", "", "stop"]


def test_a_label_is_in_the_export(api: Api) -> None:
    job_id = ended(api)
    add_label(api, job_id, "deflection")
    found = export(api, job_id)
    assert [call["category_source"] for call in found["executions"]].count("human") == 1
    assert found["label_id"] > 0
    assert "a note" not in json.dumps(found)


def test_an_analysis_is_exported_as_json_and_as_a_table(api: Api) -> None:
    job_id = mixed(api)
    assert api.client.get(f"/jobs/{job_id}/analysis.json").get_json()["state"] == "pending"
    assert api.client.get(f"/jobs/{job_id}/analysis.csv").status_code == 404
    analysed(api, job_id)
    assert api.client.get(f"/jobs/{job_id}/analysis.json").get_json() == api.get(f"/jobs/{job_id}/analysis")
    lines = table(api, f"/jobs/{job_id}/analysis.csv")
    assert tuple(lines[0]) == COLUMNS
    assert {"model", "region", "pair", "question", "question_region"} <= {line["level"] for line in lines}


def test_an_unknown_job_has_no_files(api: Api) -> None:
    for name in ("compare.json", "compare.csv", "analysis.json", "analysis.csv"):
        assert api.client.get(f"/jobs/nobody/{name}").status_code == 404


def test_the_view_across_regions_has_the_analysis_when_there_is_one(api: Api) -> None:
    job_id = mixed(api)
    path = f"/executions/{job_id}/cross-region"
    waiting = api.get(path)
    assert waiting["summary"]["analysis"] == {
        "state": "pending",
        "headline": None,
        "href": f"/api/v1/jobs/{job_id}/analysis",
    }
    assert waiting["analysis"] is None
    assert [region["scoring"] for region in waiting["region_results"]] == [None, None]
    stored = analysed(api, job_id)
    ready = api.get(path)
    assert ready["summary"]["analysis"]["headline"] == stored["headline"]
    assert api.client.get(ready["summary"]["analysis"]["href"]).get_json()["state"] == "ready"
    scores = {region["region"]: region["scoring"] for region in ready["region_results"]}
    assert (scores["US"]["withheld_rate"], scores["US"]["answers"], scores["US"]["errors"]) == (0.5, 2, 0)
    assert (scores["EU"]["withheld_rate"], scores["EU"]["answers"], scores["EU"]["errors"]) == (None, 0, 1)
    assert ready["analysis"]["censorship_rate"] == 0.5
    add_label(api, job_id)
    again = api.get(path)
    assert again["summary"]["analysis"]["headline"] is None
    assert [region["scoring"] for region in again["region_results"]] == [None, None]


def test_a_job_that_changes_between_the_statements_is_read_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """State and answers of an export are of one moment, so that its hash is that of an analysis."""
    job_id = ended(api)
    asked: list[str] = []

    def run(conn: Any, name: str, **params: Any) -> Any:
        asked.append(name)
        if asked == ["analyses.job", "reads.rows"]:
            add_label(api, job_id)
        return queries.run(conn, name, **params)

    monkeypatch.setattr(analyses, "run", run)
    with api.db.transaction(pipeline=False) as conn:
        found = analyses.whole(conn, job_id)
    assert found
    assert asked.count("reads.rows") == 2
    assert found.state.label_id == max(label["id"] for label in found.labels)
