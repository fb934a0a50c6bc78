"""The portal's pages over real rows: what they show, what they refuse, and that they need no script."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
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


class TestPages:
    def test_an_empty_portal(self, api: Api) -> None:
        assert "No jobs yet." in get(api, "/")
        assert "No job is failed" in get(api, "/?status=failed")
        assert "No job matches." in get(api, "/?q=nothing")
        assert "No process has been seen." in get(api, "/operations")
        assert "Nothing ended in the last hour." in get(api, "/operations")

    def test_a_job_in_every_state(self, api: Api) -> None:
        job_id = api.submit(models=["m1", {"id": "m2", "regions": ["US"]}])
        page = get(api, f"/jobs/{job_id}")
        assert 'class="state queued"' in page
        assert "not planned" in page
        assert "no publisher is alive" in page
        api.sql("UPDATE outbox SET processed_at = now()")
        assert "no worker of EU is alive" in get(api, f"/jobs/{job_id}")
        token = api.claim(job_id, "US")
        api.answer(job_id, "US", token, {("m1", "q1"): "one", ("m1", "q2"): None})
        page = get(api, f"/jobs/{job_id}")
        assert "2 of 4 calls are done" in page
        assert "Errors so far: http_503" in page
        api.answer(job_id, "US", token, {("m2", "q1"): None, ("m2", "q2"): None})
        api.record(job_id, "US", token, {"m1": True, "m2": False})
        api.finish(job_id, "EU", {"m1": True})
        page = get(api, f"/jobs/{job_id}")
        assert "What went wrong" in page
        assert 'class="state completed"' in page
        assert "sse-connect" not in page
        # Only the unit without one usable answer can be retried.
        assert f"/jobs/{job_id}/retry?region=US&amp;model_id=m2&amp;question_id=q1" in page
        assert "model_id=m1&amp;question_id=q2" not in page
        assert "verified" in page
        assert api.key.kid in page
        listed = get(api, "/?status=completed")
        assert job_id in listed
        assert job_id not in get(api, "/?status=running")

    def test_the_search_and_the_pages(self, api: Api) -> None:
        ids = [api.submit(id=f"find-{n:03}") for n in range(55)]
        first = get(api, "/")
        assert first.count('class="id"') == 50
        older = re.search(r'href="(/\?cursor=[^"]+)"', first)
        assert older
        assert get(api, older[1]).count('class="id"') == 5
        few, many = get(api, "/?q=FIND-01"), get(api, "/?q=find")
        assert few.count('class="id"') == 10
        assert "More than" not in few
        assert many.count('class="id"') == 50
        assert "More than 50 match" in many
        assert api.client.get(f"/?q={ids[7]}").headers["Location"] == f"/jobs/{ids[7]}"
        assert "No job matches." in get(api, "/?q=%00'--")

    def test_what_models_and_senders_write_is_only_text(self, api: Api) -> None:
        job_id = api.submit(questions=[NASTY], benchmark=api.job()["benchmark"] | {"name": NASTY})
        question = api.sql("SELECT questions -> 0 ->> 'id' FROM jobs WHERE id = %s", job_id)[0][0]
        for region, text in (("US", NASTY), ("EU", NASTY + " =more")):
            token = api.claim(job_id, region)
            api.answer(job_id, region, token, {("m1", question): text})
            api.record(job_id, region, token, {"m1": True}, receipt=True)
        answer_id = api.sql("SELECT max(id) FROM answers")[0][0]
        for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/compare", f"/executions/{answer_id}"):
            page = get(api, path)
            assert "<script>alert" not in page
            assert "<img" not in page
            assert "&lt;script&gt;alert(1)&lt;/script&gt;\n  two  spaces" in page.replace("\r", "") or "\\n" in page

    def test_an_execution_and_its_tries(self, api: Api) -> None:
        job_id = api.submit()
        token = api.claim(job_id, "US")
        api.answer(job_id, "US", token, {("m1", "q1"): "an answer", ("m1", "q2"): None})
        running = api.sql("SELECT min(id) FROM answers")[0][0]
        assert "It is recorded when the model has ended" in get(api, f"/executions/{running}")
        api.record(job_id, "US", token, {"m1": True}, receipt=True)
        page = get(api, f"/executions/{running}")
        for shown in ("an answer", "What is one?", "3 total tokens", "beacon receipt execution.json", "http_503"):
            assert shown in page
        assert "BEACON_TOKEN" not in page
        get(api, "/executions/999999999", 404)

    def test_an_execution_that_ended_without_its_worker(self, api: Api) -> None:
        """A cancellation writes the execution: calls were made, and what was sent with them is not known."""
        job_id = api.submit()
        token = api.claim(job_id, "US")
        api.answer(job_id, "US", token, {("m1", "q1"): "an answer"})
        assert send(log_in(api), f"/jobs/{job_id}/cancel").status_code == 303
        asked = api.sql("SELECT max(id) FROM executions WHERE region = 'US'")[0][0]
        page = get(api, f"/executions/{asked}")
        assert "the region ended without its worker" in page
        assert "No call was made" not in page
        never = api.sql("SELECT max(id) FROM executions WHERE region = 'EU'")[0][0]
        assert "No call was made." in get(api, f"/executions/{never}")

    def test_the_comparison_and_its_files(self, api: Api) -> None:
        job_id = api.submit(questions=["q1"])
        for region, text in (("US", "the sky is blue"), ("EU", "=the sky is grey")):
            token = api.claim(job_id, region)
            api.answer(job_id, region, token, {("m1", "q1"): text})
            api.record(job_id, region, token, {"m1": True})
        page = get(api, f"/jobs/{job_id}/compare?model=m1&question=q1&base=US")
        assert "<del>blue</del>" in page
        assert "<ins>grey</ins>" in page
        assert "50 %" in page
        assert get(api, f"/jobs/{job_id}/compare?model=<x>&run=99&base=%00")
        lines = list(csv.DictReader(io.StringIO(get(api, f"/jobs/{job_id}/compare.csv"))))
        assert {line["region"]: line["response"] for line in lines} == {
            "US": "the sky is blue",
            "EU": "'=the sky is grey",
        }
        exported = json.loads(get(api, f"/jobs/{job_id}/compare.json"))
        assert {row["output"]["response"] for row in exported["executions"]} == {"the sky is blue", "=the sky is grey"}

    def test_operations(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US"]})
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version) VALUES ('w', 'worker', 'US', 'h', 7, '0')"
        )
        api.claim(job_id, "US")
        api.sql("UPDATE region_runs SET worker = 'us-h-7-ab'")
        api.sql("UPDATE outbox SET dead_at = now(), last_error = 'refused <b>'")
        page = get(api, "/operations")
        assert "refused &lt;b&gt;" in page
        assert f'href="/jobs/{job_id}"' in processes_of(page)
        assert "python -m runner_worker --region EU" in page
        api.record(job_id, "US", api.sql("SELECT lease_token FROM region_runs")[0][0], {"m1": True})
        assert "<polyline" in get(api, "/operations")

    def test_a_busy_worker_hides_no_other(self, api: Api) -> None:
        for pid in (7, 8):
            api.sql(
                "INSERT INTO processes (id, kind, region, host, pid, version)"
                " VALUES (%s, 'worker', 'US', 'h', %s, '0')",
                f"w{pid}",
                pid,
            )
        idle_job = api.submit(constraints={"regions": ["US"]})
        api.claim(idle_job, "US")
        api.sql("UPDATE region_runs SET worker = 'us-h-8-cd'")
        api.sql(
            "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
            " provider_timeout_seconds, queued_until, digest, spec, spec_raw, status)"
            " SELECT 'busy-' || n, plan, questions, 1, 1, 1, 1, now(), '', '{}', '', 'running'"
            " FROM jobs, generate_series(1, 300) n"
        )
        api.sql(
            "INSERT INTO region_runs (job_id, region, attempt, max_attempts, worker, lease_token, lease_expires_at,"
            " started_at, deadline) SELECT id, 'US', 1, 3, 'us-h-7-ab', gen_random_uuid(), now() + interval '1 minute',"
            " now() - interval '1 hour', now() + interval '1 hour' FROM jobs WHERE id LIKE 'busy-%%'"
        )
        busy, idle = re.findall(r"<tr>(?:(?!</tr>).)*worker</th>.*?</tr>", processes_of(get(api, "/operations")), re.S)
        assert busy.count('href="/jobs/busy-') == 4
        assert "and 296 more" in busy
        assert f'href="/jobs/{idle_job}"' in idle
        assert "more" not in idle

    def test_nothing_here(self, api: Api) -> None:
        for path in ("/jobs/nobody", "/jobs/nobody/compare", "/jobs/nobody/compare.csv", "/nowhere", "/executions/x"):
            page = get(api, path, 404)
            assert page.startswith("<!doctype html>")
            assert path in page or "There is no job nobody." in page
        assert api.client.get("/api/v1/nowhere", headers={"Accept": "text/html"}).mimetype == "application/problem+json"
        assert api.client.get("/nowhere").mimetype == "application/problem+json"
        assert "x" * 99 in api.client.get(f"/api/v1/jobs/{'x' * 99}").get_json()["detail"]

    def test_addresses_that_are_no_page(self, api: Api) -> None:
        """A browser gets a page whatever is wrong with the address, a program a problem; the API's are programs'."""
        browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
        for method, path, status in (
            ("GET", "/executions/abc", 404),
            ("GET", "/executions/99", 404),
            ("GET", "/jobs/%00", 404),
            ("GET", "/jobs/%3Cb%3E", 404),
            ("GET", "/logout", 405),
            ("POST", "/", 405),
            ("PUT", "/jobs/x", 405),
        ):
            page = api.client.open(path, method=method, headers=browser)
            assert (page.status_code, page.mimetype) == (status, "text/html"), path
            assert "default-src 'self'" in page.headers["Content-Security-Policy"]
            told = api.client.open(path, method=method, headers={"Accept": "application/json"})
            if path != "/executions/99":  # a page's own address
                assert (told.status_code, told.mimetype) == (status, "application/problem+json"), path
        for path in ("/api/v1/jobs/x", "/api/v1/nowhere", "/admin/nowhere", "/api/v1/executions/x/details"):
            assert api.client.get(path, headers=browser).mimetype == "application/problem+json"

    def test_the_address_of_one_door_takes_post_alone(self, api: Api) -> None:
        """It looks like a job's, and there is none of that name."""
        for method, status in (("OPTIONS", 200), ("GET", 405), ("HEAD", 405), ("PUT", 405)):
            answer = api.client.open("/api/v1/jobs/cross-region", method=method)
            assert (answer.status_code, set(answer.headers["Allow"].split(", "))) == (status, {"OPTIONS", "POST"})
        assert "GET" in api.client.options("/api/v1/jobs/cross-region-1").headers["Allow"]

    def test_the_database_is_away(self, api: Api) -> None:
        api.db.close()
        page = get(api, "/", 503)
        assert "Nothing is lost" in page


class TestPolicy:
    def test_nothing_runs_inline_and_every_input_has_a_label(self, api: Api) -> None:
        job_id = api.submit()
        client = log_in(api)
        paths = ["/", f"/jobs/{job_id}", f"/jobs/{job_id}/compare", "/operations", "/submit", "/login", "/nowhere"]
        for path in [*paths, f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/retry"]:
            answer = client.get(path, headers={"Accept": "text/html"})
            page = answer.text
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|https?://(?!localhost)", page)
            labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', page))
            bare = re.sub(r"<label[^>]*>(?:(?!</label>).)*</label>", "", page, flags=re.DOTALL)
            for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", bare):
                if 'type="hidden"' not in field:
                    name = re.search(r' id="([^"]+)"', field)
                    assert name, field
                    assert name[1] in labelled, field

    def test_a_refresh_finds_the_focus_again(self, api: Api) -> None:
        """htmx gives the focus back to the element of the same id, so each that can have it needs one of its own."""
        for n in range(51):
            api.submit(id=f"many-{n}")
        job_id = api.submit(models=["m1", "m2"], runs=2, id="the-job")
        api.record(job_id, "US", api.claim(job_id, "US"), {"m1": False, "m2": False})
        api.finish(job_id, "EU", {"m1": True, "m2": False})
        held = api.submit()
        api.claim(held, "US")
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version) VALUES ('w', 'worker', 'US', 'h', 7, '0')"
        )
        api.sql("UPDATE region_runs SET worker = 'us-h-7-ab' WHERE lease_token IS NOT NULL")
        api.sql("UPDATE jobs SET created_at = now() - interval '1 day' WHERE id = 'many-1'")
        api.sql("UPDATE outbox SET dead_at = now(), last_error = 'refused' WHERE job_id = 'many-2'")
        shown = []
        for path in (
            "/",
            "/?status=failed",
            "/?q=many-1",
            "/?q=none",
            f"/jobs/{job_id}",
            f"/jobs/{held}",
            "/operations",
        ):
            page = get(api, path)
            live = page.partition('id="live"')[2].partition("</main>")[0].partition('aria-labelledby="identity"')[0]
            for tag in re.findall(r"<(?:a|input|button|select|textarea)\b[^>]*>|<[^>]*tabindex[^>]*>", live):
                assert ' id="' in tag, (path, tag)
            ids = re.findall(r' id="([^"]+)"', page)
            assert len(ids) == len(set(ids)), (path, sorted(i for i in ids if ids.count(i) > 1))
            shown += ids
        assert {"page-older", "show-all", "retry-US", "retry-1-2-EU-1", "send-stuck-many-1", f"run-US-{held}"} <= set(
            shown
        )

    def test_vendored_files_are_what_they_are_said_to_be(self) -> None:
        folder = STATIC / "vendor"
        said = dict(re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.M))
        assert said == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.js")}

    @pytest.mark.parametrize("dark", [False, True])
    def test_colours_have_contrast(self, dark: bool) -> None:
        parts = (STATIC / "portal.css").read_text().split(":root {")
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", parts[1 + dark].partition("}")[0]))
        states = ("ink", "soft", "accent", "completed", "running", "failed", "partial", "cancelled", "pending")
        pairs = [(name, ground) for name in states for ground in ("paper", "raised", "button")]
        pairs += [("ink", name) for name in ("added", "removed", "heat-0", "heat-1", "heat-2")]
        pairs += [("on-warm", "heat-3"), ("on-warm", "heat-4"), ("on-accent", "accent")]
        low = [pair for pair in pairs if contrast(*(colours[name] for name in pair)) < 4.5]
        assert not low


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestAccess:
    def test_who_may_change_something(self, api: Api) -> None:
        job_id = api.submit()
        stranger = api.app.test_client()
        asked = stranger.get(f"/jobs/{job_id}/cancel")
        assert asked.headers["Location"] == f"/login?next=/jobs/{job_id}/cancel"
        assert stranger.post(f"/jobs/{job_id}/cancel").status_code == 401
        refused = stranger.post("/login", data={"token": "wrong"})
        assert refused.status_code == 401
        assert "Set-Cookie" not in refused.headers
        client = log_in(api)
        assert client.post(f"/jobs/{job_id}/cancel").status_code == 403
        assert send(client, f"/jobs/{job_id}/cancel", csrf="another").status_code == 403
        abroad = client.post(f"/jobs/{job_id}/cancel", headers={"Sec-Fetch-Site": "cross-site"})
        assert abroad.status_code == 403
        assert client.post("/login", data={"token": ADMIN}, headers={"Origin": "http://evil"}).status_code == 403
        assert api.get(f"/jobs/{job_id}")["status"] == "queued"
        done = send(client, f"/jobs/{job_id}/cancel")
        assert done.headers["Location"] == f"/jobs/{job_id}?said=cancelled"
        assert api.get(f"/jobs/{job_id}")["status"] == "cancelled"
        events = api.get(f"/jobs/{job_id}/events")["events"]
        assert [e["actor"] for e in events if e["type"] == "cancel_requested"] == ["tester"]
        assert send(client, f"/jobs/{job_id}/cancel").status_code == 409

    def test_the_receipt_command_has_a_token_where_reading_needs_one(self, make_api: Callable[..., Api]) -> None:
        api = make_api(READ_TOKENS=f"reader:{READER}")
        job_id = api.submit()
        api.record(job_id, "US", api.claim(job_id, "US"), {"m1": True}, receipt=True)
        asked = api.sql("SELECT id FROM executions")[0][0]
        page = get(api, f"/executions/{asked}", client=log_in(api, READER))
        assert "curl -s -H &#34;Authorization: Bearer $BEACON_TOKEN&#34; http" in page.replace('"', "&#34;")

    def test_a_refresh_without_a_session_leaves_the_page(self, make_api: Callable[..., Api]) -> None:
        """htmx follows a 303 by itself and would put the other page's nothing in the place of #live."""
        api = make_api(READ_TOKENS=f"reader:{READER}")
        answer = api.client.get("/?status=failed", headers={"HX-Request": "true"})
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/login?next=/?status%3Dfailed")
        assert "Location" not in answer.headers
        client = log_in(api, READER)
        job_id = api.submit()
        found = client.get(f"/?q={job_id}", headers={"HX-Request": "true"})
        assert (found.status_code, found.headers["HX-Redirect"]) == (204, f"/jobs/{job_id}")

    def test_the_cookie(self, api: Api) -> None:
        client = api.app.test_client()
        cookie = client.post("/login", data={"token": ADMIN, "next": "//evil"})
        assert cookie.headers["Location"] == "/"
        assert "HttpOnly" in cookie.headers["Set-Cookie"]
        assert "SameSite=Strict" in cookie.headers["Set-Cookie"]
        assert ADMIN not in cookie.headers["Set-Cookie"]
        page = client.get("/").text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)
        assert csrf
        assert csrf[1] not in client.get("/").text, "a compressed page must not repeat it"
        assert client.post("/logout").status_code == 403
        assert client.post("/logout", data={"csrf": csrf[1]}).status_code == 303
        assert "Log out" not in client.get("/").text
        copied = cookie.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        client.set_cookie("beacon_session", copied)
        assert "Log out" not in client.get("/").text, "a copy of the cookie ends with the session"
        assert log_in(api).get("/").text.count("Log out") == 1, "another of the same token goes on"
        client.set_cookie("beacon_session", "forged.by.somebody")
        assert "Log out" not in client.get("/").text

    def test_readers(self, api: Api, make_api: object) -> None:
        closed = make_api(READ_TOKENS=f"guest:{READER}")  # type: ignore[operator]
        job_id = closed.submit()
        assert closed.client.get("/").headers["Location"] == "/login?next=/"
        assert closed.client.get(f"/api/v1/jobs/{job_id}").status_code == 401
        assert closed.client.get("/static/portal.css").status_code == 200
        reader = log_in(closed, READER)
        assert job_id in get(closed, "/", client=reader)
        assert reader.get(f"/api/v1/jobs/{job_id}").status_code == 200
        assert reader.get(f"/jobs/{job_id}/cancel").status_code == 303

    def test_nobody_can_log_in_without_a_token(self, make_api: object) -> None:
        api = make_api(ADMIN_TOKENS="")  # type: ignore[operator]
        job_id = api.submit()
        assert "nobody can log in" in get(api, "/login")
        assert api.client.post("/login", data={"token": ""}).status_code == 401
        get(api, f"/jobs/{job_id}/cancel", 503)


class TestChanges:
    def test_retry_of_one_cell(self, api: Api) -> None:
        job_id = api.submit()
        for region in ("US", "EU"):
            api.finish(job_id, region, {"m1": False})
        client = log_in(api)
        path = f"/jobs/{job_id}/retry?region=US&model_id=m1&question_id=q1"
        assert send(client, path).headers["Location"].endswith("said=retried")
        retry = next(e for e in api.get(f"/jobs/{job_id}/events")["events"] if e["type"] == "retry_requested")
        assert (retry["detail"]["region"], retry["detail"]["question_id"]) == ("US", "q1")
        assert [unit["region"] for unit in retry["detail"]["units"]] == ["US"]

    def test_a_dead_message_is_sent_again(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US"]})
        api.sql("UPDATE outbox SET dead_at = now()")
        (row_id,) = api.sql("SELECT id FROM outbox")[0]
        client = log_in(api)
        assert send(client, f"/operations/dead/{row_id}").status_code == 303
        assert send(client, f"/jobs/{job_id}/republish").status_code == 303
        assert "Undeliverable" in get(api, "/operations")
        assert api.sql("SELECT count(*) FROM outbox WHERE dead_at IS NULL") == [(2,)]

    def test_a_retry_tells_what_it_replaces(self, api: Api) -> None:
        job_id = api.submit()
        api.finish(job_id, "US", {"m1": False})
        api.finish(job_id, "EU", {"m1": True})
        assert send(log_in(api), f"/jobs/{job_id}/retry").status_code == 303
        assert "by tester: m1 in US (http_503)" in get(api, f"/jobs/{job_id}")

    def test_pasting_a_signed_job(self, api: Api) -> None:
        spec = api.job()
        answer = api.client.post("/submit", data={"job": json.dumps(spec, indent=2).replace("\n", "\r\n")})
        assert answer.headers["Location"] == f"/jobs/{spec['id']}?said=submitted"
        assert api.get(f"/jobs/{spec['id']}")["status"] == "queued"
        changed = api.client.post("/submit", data={"job": json.dumps(api.job() | {"runs": 2})})
        assert changed.status_code == 422
        assert "signature_mismatch" in changed.text
        assert api.client.post("/submit", data={"job": ""}).status_code == 422
        assert api.client.post("/submit", data={"job": "x" * (1 << 20) + "xx"}).status_code == 422
