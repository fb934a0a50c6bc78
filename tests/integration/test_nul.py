"""PostgreSQL takes U+0000 in no text: a request with this character is refused or finds nothing, and never fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import runner_api
from tests.integration.api_client import Api
from tests.integration.portal_pages import log_in

NUL = "x\0y"
# How the code names a field of a query or of a form.
FIELD = re.compile(r"""(?:args|form|values)(?:\.get|\.getlist)?[(\[]"(\w+)"|(?:number|_number|_chosen)\("(\w+)""")
NAMED = ("region", "model_id", "question_id", "q", "status", "failures", "model", "submitter", "since")


def fields() -> list[str]:
    """Every field that a page or an operation of the API reads."""
    texts = (path.read_text() for path in Path(runner_api.__file__).parent.rglob("*.py"))
    found = {name for text in texts for names in FIELD.findall(text) for name in names if name}
    assert {"job", "jobs", "code", "at", "cursor", "limit", "note"} <= found
    return sorted({*found, *NAMED} - {"csrf"})


def addresses(api: Api, method: str, job_id: str) -> Iterator[str]:
    """Every address of the pages and of the API that takes the method, of a job that exists."""
    values = {"job_id": job_id, "row_id": "1", "result_id": "1", "execution_id": "1", "method": "m", "name": "none"}
    for rule in api.app.url_map.iter_rules():
        if method in (rule.methods or ()) and "/events" not in rule.rule and rule.rule != "/logout":
            yield re.sub(r"<(?:[^<>:]*:)?(\w+)>", lambda found: values.get(found[1], "1"), rule.rule)


@pytest.fixture
def client(api: Api) -> FlaskClient:
    api.app.config["PROPAGATE_EXCEPTIONS"] = False
    return log_in(api)


def test_no_address_fails(api: Api, client: FlaskClient) -> None:
    job_id = api.submit()
    for path in addresses(api, "GET", job_id):
        for name in fields():
            assert client.get(path, query_string={name: NUL}).status_code < 500, (path, name)


def test_no_form_fails(api: Api, client: FlaskClient) -> None:
    job_id = api.submit()
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get(f"/jobs/{job_id}/cancel").text)
    assert csrf
    for path in addresses(api, "POST", job_id):
        for do in ("retry", "cancel"):
            for name in fields():
                answer = client.post(path, data={"csrf": csrf[1], "do": do, name: NUL})
                assert answer.status_code < 500, (path, name)
                if path == "/selected" and name == "job":
                    assert answer.status_code == 422
                    assert "U+0000" in answer.text
