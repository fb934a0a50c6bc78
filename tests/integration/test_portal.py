"""The portal's pages over real rows: what they show, what they refuse, and that they need no script."""

import csv
import io
import json
import re

from tests.integration.api_client import Api
from tests.integration.portal_pages import NASTY, get, log_in, processes_of, send


class TestPages:
    def test_an_empty_portal(self, api: Api) -> None:
        assert "No jobs yet." in get(api, "/")
        assert "No job is failed." in get(api, "/?status=failed")
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
        listed = get(api, "/?status=partial")
        assert job_id in listed
        assert "1 of 3 units failed" in listed
        assert job_id not in get(api, "/?status=completed"), "without failures"
        assert job_id not in get(api, "/?status=running")

    def test_the_search_and_the_pages(self, api: Api) -> None:
        ids = [api.submit(id=f"find-{n:03}") for n in range(55)]
        first = get(api, "/")
        assert first.count('id="job-find-') == 50
        older = re.search(r'href="(/\?cursor=[^"]+)"', first)
        assert older
        assert get(api, older[1]).count('id="job-find-') == 5
        few, many = get(api, "/?q=FIND-01"), get(api, "/?q=find")
        assert few.count('id="job-find-') == 10
        assert "page-older" not in few
        assert many.count('id="job-find-') == 50
        rest = re.search(r'id="page-older" href="([^"]+)"', many)
        assert rest
        assert get(api, rest[1].replace("&amp;", "&")).count('id="job-find-') == 5
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
        assert "The system prompt is recorded when the model has ended" in get(api, f"/executions/{running}")
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
