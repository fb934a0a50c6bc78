"""Labels: who may give them, what counts, and what everybody may read of them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from runner_api.verbs.actor import Actor
from runner_api.verbs.label import label_answer
from runner_core.store import analyses
from tests.integration.analysed_jobs import add_label, analysed, ended
from tests.integration.api_client import ADMIN_HEADER, Api
from tests.jobs import wait_until_blocked

MAX_INTEGER = 2**63 - 1


def post(api: Api, answer_id: int, body: Any, **headers: str) -> TestResponse:
    return api.client.post(f"/api/v1/answers/{answer_id}/labels", json=body, headers=headers or ADMIN_HEADER)


def answers(api: Api, job_id: str) -> list[int]:
    return [row[0] for row in api.sql("SELECT id FROM answers WHERE job_id = %s ORDER BY id", job_id)]


def call(api: Api, job_id: str, answer_id: int) -> Any:
    """The answer as the job's export has it."""
    document = api.client.get(f"/jobs/{job_id}/compare.json").get_json()
    (found,) = [one for one in document["executions"] if one["id"] == answer_id]
    return found


def test_an_administrator_labels_an_answer(api: Api) -> None:
    job_id = ended(api)
    answer_id = answers(api, job_id)[0]
    added = post(api, answer_id, {"category": "hard_refusal", "note": "It declines politely."})
    assert added.status_code == 201
    label = added.get_json()
    assert {name: label[name] for name in ("answer_id", "job_id", "category", "source", "actor", "note")} == {
        "answer_id": answer_id,
        "job_id": job_id,
        "category": "hard_refusal",
        "source": "human",
        "actor": "tester",
        "note": "It declines politely.",
    }
    found = call(api, job_id, answer_id)
    assert (found["category"], found["category_source"], found["detected_category"]) == (
        "hard_refusal",
        "human",
        "answer",
    )


def test_the_newest_label_counts_and_every_label_is_kept(api: Api) -> None:
    job_id = ended(api)
    answer_id = answers(api, job_id)[0]
    for category in ("hard_refusal", "deflection", "hard_refusal"):
        assert post(api, answer_id, {"category": category}).status_code == 201
    labels = api.get(f"/jobs/{job_id}/labels")["labels"]
    assert [label["category"] for label in labels] == ["hard_refusal", "deflection", "hard_refusal"]
    assert call(api, job_id, answer_id)["category"] == "hard_refusal"


def test_a_label_that_is_sent_again_is_the_same_label(api: Api) -> None:
    answer_id = answers(api, ended(api))[0]
    ids = [post(api, answer_id, {"category": "answer", "note": "n"}).get_json()["id"] for _ in range(3)]
    assert len(set(ids)) == 1
    assert post(api, answer_id, {"category": "answer", "note": "other"}).get_json()["id"] != ids[0]


def test_of_two_equal_labels_at_the_same_moment_one_is_stored(api: Api) -> None:
    """The second connection waits for the first one's lock, and then sees its label."""
    answer_id = answers(api, ended(api))[0]
    said = {"category": "deflection", "source": "human", "actor": "tester", "note": ""}
    with ThreadPoolExecutor(1) as pool:
        with api.worker.transaction() as conn:
            first = analyses.add_label(conn, answer_id, **said)
            waiting = pool.submit(label_answer, api.db, answer_id, "deflection", "", Actor("tester"))
            wait_until_blocked(api.worker)
        second = waiting.result(10)
    assert first
    assert first["id"] == second["id"]
    assert api.sql("SELECT count(*) FROM answer_labels") == [(1,)]


def test_names_and_notes_are_for_administrators(api: Api) -> None:
    job_id = ended(api)
    add_label(api, job_id)
    (seen,) = api.get(f"/jobs/{job_id}/labels")["labels"]
    assert set(seen) == {"id", "answer_id", "category", "source", "at"}
    wrong = api.get(f"/jobs/{job_id}/labels", Authorization="Bearer wrong")["labels"]
    assert wrong == [seen]
    (known,) = api.get(f"/jobs/{job_id}/labels", **ADMIN_HEADER)["labels"]
    assert (known["actor"], known["note"]) == ("tester", "a note")
    analysed(api, job_id)
    paths = ("compare.json", "compare.csv", "analysis.json", "analysis.csv")
    everybody = [api.client.get(f"/jobs/{job_id}/{path}").text for path in paths]
    everybody += [api.client.get(f"/api/v1/jobs/{job_id}/{path}").text for path in ("analysis", "executions/all")]
    assert not [text for text in everybody if "a note" in text or "tester" in text]


def test_labels_are_read_in_pages(api: Api) -> None:
    job_id = ended(api)
    added = [add_label(api, job_id, place=place) for place in range(3)]
    first = api.get(f"/jobs/{job_id}/labels?limit=2")
    rest = api.get(f"/jobs/{job_id}/labels?limit=2&after={first['next_after']}")
    assert [label["answer_id"] for label in first["labels"] + rest["labels"]] == added
    assert rest["next_after"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"category": "refusal"}, 422),
        ({}, 400),
        ({"category": "answer", "note": "x" * 2001}, 422),
        ({"category": "answer", "note": "x" * 2000}, 201),
        ({"category": "answer", "note": None}, 201),
        ({"category": "answer", "note": "a\x00b"}, 422),
        ([], 422),
    ],
)
def test_what_a_label_may_say(api: Api, body: Any, status: int) -> None:
    answer = post(api, answers(api, ended(api))[0], body)
    assert answer.status_code == status, answer.text


def test_a_label_needs_an_administrators_token(api: Api) -> None:
    answer_id = answers(api, ended(api))[0]
    assert post(api, answer_id, {"category": "answer"}, Authorization="Bearer wrong").status_code == 401
    assert post(api, answer_id, {"category": "answer"}, Accept="*/*").status_code == 401
    assert api.sql("SELECT count(*) FROM answer_labels") == [(0,)]


def test_an_answer_without_a_text_has_no_label(api: Api) -> None:
    job_id = api.submit()
    api.finish(job_id, "US", {"m1": False})
    failed = answers(api, job_id)[0]
    for answer_id in (failed, MAX_INTEGER):
        answer = post(api, answer_id, {"category": "answer"})
        assert (answer.status_code, answer.get_json()["error_code"]) == (404, "not_found")
    assert api.client.get("/api/v1/jobs/nobody/labels").status_code == 404
