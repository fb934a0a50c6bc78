"""The page that submits: empty, filled with an earlier job, and the steps that an empty portal shows."""

import html
import json
import re
import shlex

from runner_core.signing import sign
from tests.integration.api_client import Api
from tests.integration.portal_pages import NASTY, get


def test_the_steps_of_an_empty_portal_submit_a_job_that_runs(api: Api) -> None:
    page = get(api, "/")
    assert "asks the same questions of several language models in several regions" in page
    write, submit, compare = map(html.unescape, re.findall(r'data-copy="([^"]*)"', page))
    job = json.loads(re.fullmatch(r"cat > job.json <<'JSON'\n(.*)\nJSON", write, re.DOTALL)[1])  # type: ignore[index]
    assert shlex.split(submit)[1:] == ["submit", "job.json", "--wait"]
    assert shlex.split(compare)[1:] == ["compare", job["id"]]
    metadata = {"nonce": "n", "timestamp": api.job()["metadata"]["timestamp"]}
    assert api.client.post("/api/v1/jobs", json=sign(job | {"metadata": metadata}, api.key)).status_code == 202


def test_submit_again_shows_the_job(api: Api) -> None:
    job_id = api.submit(questions=["q2", NASTY], models=["m2"], runs=2, parameters={"temperature": 0.5})
    assert f'href="/submit?again={job_id}"' in get(api, f"/jobs/{job_id}")
    page = get(api, f"/submit?again={job_id}")
    assert "Submit again" in page
    assert "Also sent as it was: parameters." in page
    assert re.search(r'value="q2" checked', page)
    assert not re.search(r'value="q1" checked', page)
    assert re.search(r'name="own" value="1" checked', page)
    assert re.search(r'value="m2"[^>]* checked', page)
    assert not re.search(r'value="m1"[^>]* checked', page)
    assert "<script>alert" not in page
    base = re.search(r'data-again="([^"]*)"', page)
    assert base
    kept = json.loads(html.unescape(base[1]))
    assert kept["questions"] == ["q2", NASTY]
    assert kept["parameters"] == {"temperature": 0.5}
    assert not {"signature", "public_key", "id"} & kept.keys()


def test_a_job_that_is_not_there(api: Api) -> None:
    get(api, "/submit?again=nobody", 404)
    get(api, "/submit?again=%00", 404)
    get(api, f"/submit?again={'x' * 300}", 404)


def test_a_key_can_be_given_by_file_only(api: Api) -> None:
    page = get(api, "/submit")
    assert 'id="key-file" type="file"' in page
    assert "Where is my key?" in page
    assert "BEGIN PRIVATE KEY" not in page
    assert not re.search(r'id="key"|name="key', page)
