"""The page of a job: its answers, what went wrong, its time, and how little of it a refresh sends."""

import re
from typing import Any

import pytest

from runner_api.portal.blueprint import release
from runner_core.queries import rows
from tests.integration.api_client import Api
from tests.integration.portal_pages import get, log_in, send

PERU = "The capital of Peru is Lima, a city on the coast."
LONG = "long answer " * 5000
EVERY = "SELECT count(*) FROM answers WHERE job_id = %s"


def answered(api: Api, texts: dict[str, str | None], **changes: Any) -> str:
    """A job of one model in US whose questions have these answers; None for a failure."""
    job_id = api.submit(questions=list(texts), constraints={"regions": ["US"], "min_regions": 1}, **changes)
    ids = [question["id"] for question in api.sql("SELECT questions FROM jobs WHERE id = %s", job_id)[0][0]]
    token = api.claim(job_id, "US")
    api.answer(job_id, "US", token, {("m1", name): text for name, text in zip(ids, texts.values(), strict=True)})
    api.record(job_id, "US", token, {"m1": any(texts.values())})
    return job_id


def refuse(api: Api, job_id: str, question: str) -> None:
    api.sql(
        "UPDATE answers SET output = output || '{\"refused\": true}' WHERE job_id = %s AND question_id = %s",
        job_id,
        question,
    )


def grid_of(page: str) -> str:
    return page.partition('aria-labelledby="grid"')[2].partition("</section>")[0]


class TestAnswers:
    def test_a_cell_shows_the_beginning_of_its_answer(self, api: Api) -> None:
        job_id = answered(api, {"q1": PERU, "q2": LONG})
        grid = grid_of(get(api, f"/jobs/{job_id}"))
        assert f'<p class="excerpt text" dir="auto">{PERU}</p>' in grid
        (cut,) = re.findall(r'dir="auto">(long answer [^<]*)</p>', grid)
        assert cut.endswith(" …")
        assert len(cut) < 260
        status = get(api, f"/jobs/{job_id}?view=status")
        assert PERU not in status
        assert grid_of(status).count('class="state completed"') >= 2

    def test_a_job_of_one_question_and_one_model_shows_its_whole_answer(self, api: Api) -> None:
        whole = "word " * 300
        job_id = answered(api, {"q1": whole})
        grid = grid_of(get(api, f"/jobs/{job_id}"))
        assert whole.strip() in grid
        assert 'class="answers answers of-1 whole"' in get(api, f"/jobs/{job_id}")

    def test_answers_are_read_cut(self, api: Api) -> None:
        """What the page reads depends on how many answers there are, and not on their length."""
        job_id = answered(api, {"q1": LONG, "q2": LONG})
        with api.db.transaction() as conn:
            read = rows(conn, "portal.calls", job_id=job_id, characters=240)
        assert max(len(str(row)) for row in read) < 2000
        assert [row["output"]["characters"] for row in read] == [len(LONG)] * 2
        assert len(get(api, f"/jobs/{job_id}")) < 40_000

    def test_a_page_can_be_limited_to_what_failed_or_was_refused(self, api: Api) -> None:
        job_id = answered(api, {"q1": PERU, "q2": None, "identity_basic": "I can't."})
        refuse(api, job_id, "identity_basic")
        names = {show: set(re.findall(r'<details class="block" id="(question-\d)"', get(api, f"/jobs/{job_id}{show}")))
                 for show in ("", "?show=failed", "?show=refused", "?show=nonsense")}  # fmt: skip
        every = {"question-1", "question-2", "question-3"}
        assert list(names.values()) == [every, {"question-2"}, {"question-3"}, every]
        page = get(api, f"/jobs/{job_id}?show=failed&view=status")
        assert f'href="/jobs/{job_id}?view=status&amp;show=refused"' in page, "what was chosen stays chosen"
        good = answered(api, {"q1": PERU})
        assert "Nothing has failed." in get(api, f"/jobs/{good}?show=failed")

    def test_in_a_long_job_what_is_done_as_hoped_is_folded(self, api: Api) -> None:
        texts: dict[str, str | None] = {f"What is {n}?": "a number" for n in range(13)}
        job_id = answered(api, texts | {"What is 3?": None})
        opened = re.findall(
            r'<details class="block" id="question-(\d+)" data-tag="\w+" open>', get(api, f"/jobs/{job_id}")
        )
        assert opened == ["4"]
        few = answered(api, {"q1": PERU, "q2": PERU})
        assert get(api, f"/jobs/{few}").count(" open>") == 2


class TestFailures:
    def test_one_cause_is_one_line_with_the_way_out(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US", "EU"], "min_regions": 1})
        for region in ("US", "EU"):
            api.finish(job_id, region, {"m1": False})
        message = (
            "jsonb_set(error, '{message}', to_jsonb('Provider ' || provider_id || ': HTTP status 503 (HTTP 503).'))"
        )
        api.sql(f"UPDATE answers SET error = {message}")  # noqa: S608 - our own text
        box = get(api, f"/jobs/{job_id}").partition('aria-labelledby="wrong"')[2].partition("</section>")[0]
        assert "<b>4 calls of m1 in US, EU</b>" in box
        assert box.count("<li>") == 1
        assert box.count("503.") == 1
        assert "sandbox-us" in box.partition("way-out")[2]
        (line,) = api.get(f"/jobs/{job_id}")["waiting"]
        assert (line["subject"], line["text"]) == ("http_503", "4 calls of m1 in US, EU: HTTP status 503.")
        assert line["remedy"]

    def test_a_group_is_retried_alone(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US", "EU"], "min_regions": 1})
        for region in ("US", "EU"):
            api.finish(job_id, region, {"m1": False})
        api.sql("UPDATE answers SET error = jsonb_set(error, '{code}', '\"http_401\"') WHERE region = 'EU'")
        path = f"/jobs/{job_id}/retry?code=http_401"
        assert path in get(api, f"/jobs/{job_id}")
        client = log_in(api)
        asked = client.get(path).text
        assert "Retry what failed with http_401?" in asked
        assert "1 unit had such a failure" in asked
        assert send(client, path).status_code == 303
        assert api.sql("SELECT region FROM executions WHERE job_id = %s", job_id) == [("US",)]
        assert "by tester, what failed with http_401: m1 in EU" in get(api, f"/jobs/{job_id}")
        assert send(client, f"/jobs/{job_id}/retry?code=nobody").status_code == 409

    def test_a_group_has_all_models_of_a_region(self, api: Api) -> None:
        job_id = api.submit(models=["m1", "m2"], constraints={"regions": ["US"], "min_regions": 1})
        api.finish(job_id, "US", {"m1": False, "m2": False})
        code = api.sql("SELECT DISTINCT error ->> 'code' FROM executions WHERE job_id = %s", job_id)[0][0]
        client = log_in(api)
        assert send(client, f"/jobs/{job_id}/retry?code={code}").status_code == 303
        assert api.sql("SELECT model_id FROM executions WHERE job_id = %s", job_id) == []

    def test_the_box_is_called_progress_while_nothing_is_wrong(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US"], "min_regions": 1})
        assert "Why is this waiting?" in get(api, f"/jobs/{job_id}"), "no publisher is alive"
        api.sql("UPDATE outbox SET processed_at = now()")
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version) VALUES ('w', 'worker', 'US', 'h', 7, '0')"
        )
        page = get(api, f"/jobs/{job_id}")
        assert '<h2 id="why">Progress</h2>' in page
        assert "What went wrong" not in page


class TestFrame:
    @pytest.mark.parametrize(("good", "state"), [(True, "completed"), (False, "failed")])
    def test_a_tab_tells_the_name_and_the_state(self, api: Api, good: bool, state: str) -> None:
        job_id = answered(api, {"q1": PERU if good else None})
        page = get(api, f"/jobs/{job_id}")
        assert f"<title>probe · {state} · Beacon Runner</title>" in page
        (icon,) = re.findall(r'<link rel="icon" href="([^"]+)"', page)
        assert f"icon-{state}." in icon
        assert api.client.get(icon).mimetype == "image/svg+xml"

    def test_every_state_has_an_icon(self, api: Api) -> None:
        for state in ("queued", "running", "completed", "partial", "failed", "cancelled"):
            assert api.client.get(f"/static/icon-{state}.svg").status_code == 200


class TestTime:
    def test_the_picture_has_a_table_of_the_same(self, api: Api) -> None:
        job_id = answered(api, {"q1": PERU, "q2": None})
        page = get(api, f"/jobs/{job_id}")
        time = page.partition('aria-labelledby="time"')[2].partition("</section>")[0]
        assert '<path class="asking" d="M' in time
        assert '<td data-label="Calls">2 of 2</td>' in time
        assert 'class="now"' not in time
        assert 'class="now"' in get(api, f"/jobs/{api.submit()}")


class TestRefresh:
    def large(self, api: Api) -> tuple[str, str]:
        """A job of 50 questions, 2 models, 2 regions and 10 runs: 2,000 calls. Returns its id and the token of US."""
        job_id = api.submit(questions=[f"Question {n}: what is it?" for n in range(50)], models=["m1", "m2"], runs=10)
        return job_id, api.claim(job_id, "US")

    def test_only_what_has_changed_is_sent(self, api: Api) -> None:
        job_id, token = self.large(api)
        whole = get(api, f"/jobs/{job_id}")
        ids = [one["id"] for one in api.sql("SELECT questions FROM jobs WHERE id = %s", job_id)[0][0]]
        api.answer(job_id, "US", token, {("m1", ids[7]): PERU, ("m2", ids[7]): PERU})
        tags = re.findall(r'data-tag="([^"]+)"', whole)
        assert len(tags) == 50 + 3
        refresh = {"HX-Request": "true", "X-Part-Tags": ",".join(tags), "X-Page-Release": release()}
        sent = api.client.get(f"/jobs/{job_id}", headers=refresh).text
        blocks = re.findall(r'<details class="block" id="question-(\d+)" data-tag="\w+"( data-same)?', sent)
        assert [number for number, same in blocks if not same] == ["8"]
        assert len(blocks) == 50
        assert len(sent) < len(whole) / 15
        assert len(sent) < 60_000
        assert "Signature and specification" not in sent, "what never changes is not sent either"
        for other in ({}, {"X-Page-Release": "of-the-release-before"}):
            headers = {"HX-Request": "true", "X-Part-Tags": ",".join(tags), **other}
            assert " data-same" not in api.client.get(f"/jobs/{job_id}", headers=headers).text, "drawn otherwise, maybe"

    def test_a_tag_changes_with_all_that_its_block_shows(self, api: Api) -> None:
        job_id = answered(api, {"q1": PERU, "q2": None})

        def tags() -> list[str]:
            return re.findall(r'id="question-\d" data-tag="(\w+)"', get(api, f"/jobs/{job_id}"))

        before = tags()
        refuse(api, job_id, "q1")
        assert [a == b for a, b in zip(before, tags(), strict=True)] == [False, True]


class TestExecution:
    def test_one_goes_from_call_to_call_and_to_other_regions(self, api: Api) -> None:
        job_id = api.submit(models=["m1", "m2"])
        for region in ("US", "EU"):
            api.finish(job_id, region, {"m1": True, "m2": True})
        ids = {(r, m, q): n for r, m, q, n in api.sql("SELECT region, model_id, question_id, id FROM answers")}
        page = get(api, f"/executions/{ids['EU', 'm1', 'q1']}")
        units = {(r, m): n for r, m, n in api.sql("SELECT region, model_id, id FROM executions")}
        assert f'id="go-before" rel="prev" href="/executions/{units["US", "m1"]}"' in page
        assert f'id="go-after" rel="next" href="/executions/{units["US", "m2"]}"' in page
        other = ids["US", "m1", "q1"]
        assert f'href="/executions/{other}#call-{other}"' in page
        assert f'href="#call-{ids["EU", "m1", "q2"]}" aria-label="Next call' in page

    def test_an_error_is_told_once(self, api: Api) -> None:
        job_id = answered(api, {"q1": None, "q2": "one"})
        number = api.sql("SELECT id FROM answers WHERE status = 'failed'")[0][0]
        shown = re.sub(r"<pre.*?</pre>", "", get(api, f"/executions/{number}"), flags=re.DOTALL)
        assert shown.count("no answer to q1") == 1
        assert job_id in shown


def test_no_comparison_is_promised_that_will_never_be(api: Api) -> None:
    job_id = api.submit()
    assert '<h2 id="finding">No comparison yet</h2>' in get(api, f"/jobs/{job_id}")
    assert send(log_in(api), f"/jobs/{job_id}/cancel").status_code == 303
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/compare", f"/jobs/{job_id}/report.html"):
        page = get(api, path)
        assert '<h2 id="finding">No comparison</h2>' in page, path
    assert "The job was cancelled." in page
    assert 'class="text answer problem"' not in page, "what was cancelled has not gone wrong"
