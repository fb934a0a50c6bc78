"""How pages and answers travel: compressed, kept by browsers, not sent again while nothing has changed, made once where
they are the same for everybody; and pages that are no dead ends.
"""

import gzip
import html
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from flask import template_rendered

from runner_cli.child import free_port
from tests.integration.api_client import ADMIN, Api

PAGE = {"Accept": "text/html"}
PACKED = {"Accept-Encoding": "gzip, deflate, br"}


def test_what_is_large_is_compressed_for_those_who_take_it(api: Api) -> None:
    for _ in range(20):
        api.submit()
    for path in ("/", "/docs", "/operations", "/api/v1/openapi.json", "/api/v1/jobs", "/static/portal.css", "/metrics"):
        plain = api.client.get(path, headers=PAGE)
        packed = api.client.get(path, headers=PAGE | PACKED)
        refused = api.client.get(path, headers=PAGE | {"Accept-Encoding": "gzip;q=0, identity"})
        assert packed.headers["Content-Encoding"] == "gzip", path
        assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 2, path
        assert "Content-Encoding" not in plain.headers
        assert "Content-Encoding" not in refused.headers
        for answer in (plain, packed, refused):
            assert "Accept-Encoding" in answer.headers["Vary"], path
        if path.startswith(("/static", "/api")):
            assert gzip.decompress(packed.data) == plain.data
    small = api.client.get("/health/live", headers=PACKED)
    assert "Content-Encoding" not in small.headers


def test_an_event_stream_is_never_held_back_to_be_compressed(api: Api) -> None:
    job_id = api.submit()
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": True})
    asked = {"Accept": "text/event-stream", **PACKED}
    answer = api.client.get(f"/api/v1/jobs/{job_id}/events", headers=asked)
    assert "Content-Encoding" not in answer.headers
    assert answer.text.startswith("retry: ")


def test_a_browser_keeps_static_files_for_ever_by_their_content(api: Api) -> None:
    page = api.client.get("/submit", headers=PAGE).text
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(names) >= 6
    for name in names:
        kept = api.client.get(name)
        assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable", name
        own = re.sub(r"\.[0-9a-f]{16}(?=\.)", "", name)
        assert own != name
        asked = api.client.get(own)
        assert (asked.data, asked.headers["Cache-Control"]) == (kept.data, "no-cache")
        again = api.client.get(own, headers={"If-None-Match": asked.headers["ETag"]} | PACKED)
        assert (again.status_code, again.data) == (304, b"")
    for name in ("/static/portal.0123456789abcdef.css", "/static/vendor/README.md", "/static/../blueprint.py"):
        assert api.client.get(name).status_code == 404


def test_a_refresh_sends_nothing_while_the_page_is_the_same(api: Api) -> None:
    job_id = api.submit()
    # A job of an hour ago: its age does not change within the test.
    api.sql("UPDATE jobs SET created_at = created_at - interval '3 hours 20 minutes'")
    client = api.app.test_client()
    client.post("/login", data={"token": ADMIN})
    first = client.get("/", headers=PAGE)
    refresh = {"HX-Request": "true", "X-Page-Tag": first.headers["X-Page-Tag"], **PAGE}
    same = client.get("/", headers=refresh)
    assert (same.status_code, same.data) == (204, b"")
    assert client.get("/", headers=PAGE | {"X-Page-Tag": refresh["X-Page-Tag"]}).status_code == 200, "no refresh"
    api.claim(job_id, "US")
    changed = client.get("/", headers=refresh)
    assert changed.status_code == 200
    assert changed.headers["X-Page-Tag"] != refresh["X-Page-Tag"]


def test_the_description_is_made_once(api: Api) -> None:
    made: list[str] = []

    def note(_: Any, template: Any, **__: Any) -> None:
        made.append(template.name)

    visitor = api.app.test_client()
    visitor.post("/login", data={"token": ADMIN})
    with template_rendered.connected_to(note, api.app):
        for client in (api.client, api.client, visitor):
            page = client.get("/docs", headers=PAGE).text
            assert "POST /api/v1/jobs/cross-region" in page
    assert made.count("docs_body.html") == 1
    assert "tester" in page, "the frame is the visitor's"
    described = api.client.get("/api/v1/openapi.json")
    again = api.client.get("/api/v1/openapi.json", headers={"If-None-Match": described.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_page_that_could_not_be_made_is_asked_for_again(make_api: Callable[..., Api]) -> None:
    away = make_api(
        DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/none", BEACON_TEST="1", DB_WRITE_TIMEOUT_MS="100"
    )
    for path in ("/?status=failed", "/jobs/some-job", "/operations"):
        answer = away.client.get(path, headers=PAGE)
        assert (answer.status_code, answer.headers["Refresh"]) == (503, "5"), path
        assert answer.headers["Retry-After"]
        assert f'id="again" href="{path}"' in answer.text
    assert "Refresh" not in away.client.get("/api/v1/jobs").headers
    assert "Refresh" not in away.client.get("/nowhere", headers=PAGE).headers


def test_a_visitor_can_be_told_that_the_database_is_away(make_api: Callable[..., Api]) -> None:
    """Whether a session was ended can't be asked then, and the error page has to be made all the same."""
    api = make_api(BEACON_TEST="1", DB_WRITE_TIMEOUT_MS="100")
    client = api.app.test_client()
    client.post("/login", data={"token": ADMIN})
    api.db.close()
    answer = client.get("/operations", headers=PAGE)
    assert (answer.status_code, answer.headers["Refresh"]) == (503, "5")


def test_the_empty_list_says_what_this_is_and_how_to_begin(api: Api, tmp_path: Any) -> None:
    page = api.client.get("/", headers=PAGE).text
    assert "asks the same questions of several language models in several regions" in page
    write, submit, compare = map(html.unescape, re.findall(r'<pre class="command">(.*?)</pre>', page, re.DOTALL))
    # What is to be copied runs: the file is written, and its job is one that this deployment takes.
    subprocess.run(["/bin/sh", "-c", write], cwd=tmp_path, check=True)
    job = json.loads((tmp_path / "job.json").read_text())
    assert shlex.split(submit)[1:] == ["submit", "job.json", "--wait"]
    assert shlex.split(compare)[1:] == ["compare", job["id"]]
    api.submit(**{name: value for name, value in job.items() if name != "metadata"})


def test_login_says_where_a_token_is(api: Api) -> None:
    assert "admin-token" in api.client.get("/login", headers=PAGE).text


@pytest.mark.parametrize("method", ["get", "post"])
def test_only_what_was_read_is_asked_for_again(make_api: Callable[..., Api], method: str) -> None:
    api = make_api(BEACON_TEST="1", DB_WRITE_TIMEOUT_MS="100")
    client = api.app.test_client()
    client.post("/login", data={"token": ADMIN})
    api.db.close()
    answer = getattr(client, method)("/jobs/x/cancel", headers=PAGE)
    assert answer.status_code == 503
    assert ("Refresh" in answer.headers) == (method == "get")
    assert ('id="again"' in answer.text) == (method == "get")
