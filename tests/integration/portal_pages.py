"""The pages of a portal, asked for by a test."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from runner_api import portal
from tests.integration.api_client import ADMIN, Api

READER = "a-reader's-token-for-tests-0123456789abcdef"
NASTY = '<script>alert(1)</script>\n  two  spaces & "quotes" <img src=x onerror=y>'
STATIC = Path(portal.__file__).parent / "static"


def get(api: Api, path: str, status: int = 200, client: FlaskClient | None = None) -> str:
    answer = (client or api.client).get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.text
    return answer.text


def log_in(api: Api, token: str = ADMIN) -> FlaskClient:
    client = api.app.test_client()
    assert client.post("/login", data={"token": token}).status_code == 303
    return client


def send(client: FlaskClient, path: str, **changes: str) -> TestResponse:
    """Ask on the page of `path`, then send its form with the fields that it has."""
    asked = client.get(path)
    assert asked.status_code == 200, asked.text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', asked.text))
    return client.post(urlsplit(path).path, data=fields | changes)


def processes_of(page: str) -> str:
    """The Processes section of the Operations page."""
    return page.partition('aria-labelledby="p"')[2].partition("</section>")[0]
