"""Who may see and change what in the portal, and what each change does."""

import json
import re
from collections.abc import Callable

from tests.integration.api_client import ADMIN, Api
from tests.integration.portal_pages import READER, get, log_in, send


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

    def test_a_program_reads_files_with_its_token(self, make_api: Callable[..., Api]) -> None:
        closed = make_api(READ_TOKENS=f"guest:{READER}")
        path = f"/jobs/{closed.submit()}/compare.json"

        def status(**headers: str) -> int:
            return closed.client.get(path, headers=headers).status_code

        assert status(Authorization=f"Bearer {READER}") == status(Authorization=f"Bearer {ADMIN}") == 200
        assert status(Authorization="Bearer wrong") == 401
        assert status(Authorization="Basic Zm9vOmJhcg==") == status() == 303
        answer = closed.client.post("/logout", headers={"Authorization": f"Bearer {READER}"})
        assert answer.headers["Location"].startswith("/login")

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
