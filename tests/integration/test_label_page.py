"""Labelling in the portal: blind, in an order of the person's own, for administrators alone."""

import re
from urllib.parse import urlsplit

from flask.testing import FlaskClient

from runner_core.comparison.sampling import order, sample
from runner_core.refusals.scored import Score, text_key
from tests.integration.analysed_jobs import analysed, ended
from tests.integration.api_client import Api
from tests.integration.portal_pages import get, log_in
from tests.integration.repeated_runs import asked


def form(client: FlaskClient, path: str) -> dict[str, str]:
    page = client.get(path).text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.partition("<main")[2]))


def test_the_answer_is_shown_without_region_model_and_labels(api: Api) -> None:
    job_id = asked(api, lambda region, number, run: f"Answer {number}.", questions=3, regions=("EU", "US"))
    page = get(api, f"/jobs/{job_id}/label", client=log_in(api)).partition("<h1>")[2].partition("</main>")[0]
    assert "What is the name of number" in page
    assert re.search(r"Answer \d\.", page)
    assert not re.search(r"\bEU\b|\bUS\b|\bm1\b|sandbox|/executions/", page)
    assert "checked" not in page
    assert "0 of 6 answers of the sample labelled." in page


def test_every_answer_of_the_sample_comes_once_until_it_is_labelled(api: Api) -> None:
    job_id = asked(api, lambda region, number, run: f"Answer {number} of {region}.", questions=3)
    client, path = log_in(api), f"/jobs/{job_id}/label?sample=4"
    seen = []
    for _ in range(4):
        fields = form(client, path)
        seen.append(fields["answer"])
        answer = client.post(f"/jobs/{job_id}/label", data=fields | {"category": "answer", "note": "a note"})
        assert answer.status_code == 303, answer.text
        path = answer.headers["Location"]
    assert len(set(seen)) == 4
    assert "Every answer of the sample is labelled." in client.get(path).text
    stored = api.sql("SELECT answer_id, category, source, actor, note FROM answer_labels ORDER BY id")
    assert stored == [(int(answer), "answer", "human", "tester", "a note") for answer in seen]


def test_answers_about_which_the_detector_is_divided_come_first(api: Api) -> None:
    """They are first inside the sample; and a person isn't shown which they are."""
    job_id = asked(api, lambda region, number, run: f"Answer {number} of {region}.", questions=5)
    answers = [int(row[0]) for row in api.sql("SELECT id FROM answers WHERE job_id = %s ORDER BY id", job_id)]
    chosen = sample(job_id, answers, 6)
    plain = order(job_id, "tester", chosen)
    path = f"/jobs/{job_id}/label?sample=6"
    client = log_in(api)
    assert form(client, path)["answer"] == str(plain[0])
    said = dict(api.sql("SELECT id, output ->> 'response' FROM answers WHERE job_id = %s", job_id))
    last = next(answer for answer in chosen if said[answer] == said[plain[-1]])
    scores = {text_key(text): Score(900_000 if text == said[last] else 1000, text).stored() for text in said.values()}
    assert form(client, path)["answer"] == str(plain[0]), "no analysis has used the embeddings"
    analysed(api, job_id, scores)
    fields = form(client, path)
    assert fields["answer"] == str(next(answer for answer in plain if said[answer] == said[last]))
    page = client.get(path).text.partition("<h1>")[2].partition("</main>")[0]
    assert not re.search("disput|embedding|detector|divided", page)


def test_a_skipped_answer_comes_back_at_the_end(api: Api) -> None:
    job_id = ended(api)
    client = log_in(api)
    first = form(client, f"/jobs/{job_id}/label")
    skip = re.search(r'href="([^"]+behind=1)"', client.get(f"/jobs/{job_id}/label").text)
    assert skip
    assert form(client, skip[1].replace("&amp;", "&"))["answer"] != first["answer"]
    assert form(client, f"/jobs/{job_id}/label?behind=4")["answer"] == first["answer"]


def test_saving_again_adds_a_label(api: Api) -> None:
    job_id = ended(api)
    client = log_in(api)
    fields = form(client, f"/jobs/{job_id}/label")
    for category in ("answer", "deflection"):
        client.post(f"/jobs/{job_id}/label", data=fields | {"category": category})
    assert api.sql("SELECT category FROM answer_labels ORDER BY id") == [("answer",), ("deflection",)]


def test_what_is_refused(api: Api) -> None:
    job_id = ended(api)
    asked_for = api.client.get(f"/jobs/{job_id}/label")
    assert (asked_for.status_code, urlsplit(asked_for.headers["Location"]).path) == (303, "/login")
    client = log_in(api)
    fields = form(client, f"/jobs/{job_id}/label") | {"category": "answer"}
    for wrong, status in (
        ({"csrf": "x"}, 403),
        ({"category": "nonsense"}, 422),
        ({"answer": "x"}, 422),
        ({"answer": "999999999"}, 404),
        ({"note": "x" * 2001}, 422),
    ):
        assert client.post(f"/jobs/{job_id}/label", data=fields | wrong).status_code == status, wrong
    assert api.sql("SELECT count(*) FROM answer_labels") == [(0,)]
    get(api, "/jobs/nobody/label", 404, client)


def test_a_job_without_a_text_has_nothing_to_label(api: Api) -> None:
    job_id = api.submit()
    assert "no answer with a text yet" in get(api, f"/jobs/{job_id}/label", client=log_in(api))
