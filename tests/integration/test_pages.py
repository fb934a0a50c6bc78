"""The portal's pages by what people read on them: words, names, signs, and what links lead to."""

import re
from html.parser import HTMLParser

import pytest

from tests.integration.analysed_jobs import analysed
from tests.integration.api_client import Api
from tests.integration.test_portal import get, log_in, send

CHINESE = "埃菲尔铁塔位于巴黎,建于一八八九年。"
ARABIC = "يقع البرج في باريس (HTTP 200, 3.14)."


def answered(api: Api, question: str, **texts: str) -> tuple[str, str]:
    """A job with one question of its own, answered by region; returns its id and the question's."""
    job_id = api.submit(questions=[question], constraints={"regions": list(texts)})
    question_id: str = api.sql("SELECT questions -> 0 ->> 'id' FROM jobs WHERE id = %s", job_id)[0][0]
    for region, text in texts.items():
        token = api.claim(job_id, region)
        api.answer(job_id, region, token, {("m1", question_id): text})
        api.record(job_id, region, token, {"m1": True})
    return job_id, question_id


def pages_of(api: Api, job_id: str) -> list[str]:
    """Every page that shows something of a job."""
    execution = api.sql("SELECT min(id) FROM answers WHERE job_id = %s", job_id)[0][0]
    return ["/", f"/jobs/{job_id}", f"/jobs/{job_id}/compare", f"/executions/{execution}", "/operations", "/submit"]


class Tags(HTMLParser):
    """Every element of a page with its attributes, and whether a header cell has a name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headers: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "th":
            self.headers.append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "th"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.headers[-1] += data.strip()


class TestForeignTexts:
    def test_each_has_the_direction_of_its_own_words(self, api: Api) -> None:
        job_id, _ = answered(api, "ما هو البرج؟", US=ARABIC, EU=f"{ARABIC} نعم")
        for path in pages_of(api, job_id):
            page = get(api, path)
            texts = [
                attributes for _, attributes in Tags(page).tags if "text" in (attributes.get("class") or "").split()
            ]
            assert [text for text in texts if text.get("dir") != "auto"] == [], path
        assert f'<p class="text answer" dir="auto">{ARABIC}' in get(api, f"/jobs/{job_id}/compare")

    def test_none_reverses_the_line_that_it_is_in(self, api: Api) -> None:
        job_id, _ = answered(api, "Who \u202eis it?", US="it \u202dis", EU="it is")
        shown = [get(api, path) for path in pages_of(api, job_id)]
        assert not [page for page in shown if "\u202e" in page or "\u202d" in page]
        assert "Who \ufffdis it?" in shown[1]

    def test_what_is_sent_back_stays_as_it_was(self, api: Api) -> None:
        """A signature covers every character of a pasted job."""
        answer = api.client.post("/submit", data={"job": '{"id": "\u202e"}'})
        assert answer.status_code == 422
        assert "\u202e" in answer.text


class TestComparison:
    def test_answers_without_spaces_are_not_compared_by_words_between_spaces(self, api: Api) -> None:
        job_id, question = answered(api, "埃菲尔铁塔在哪里?", US=CHINESE, EU=f"{CHINESE}它很高。")
        page = get(api, f"/jobs/{job_id}/compare?model=m1&question={question}&base=US")
        assert "<del>" not in page.partition('class="sides"')[2]
        assert "not compared word by word" in page
        assert f"{len(CHINESE)} characters" in page
        assert not re.search(r"\d words?\b", page)

    def test_one_is_not_plural(self, api: Api) -> None:
        job_id, _ = answered(api, "Yes or no?", US="Yes", EU="Y")
        page = get(api, f"/jobs/{job_id}/compare")
        assert "1 word · 3 characters" in page
        assert "1 word · 1 character ·" in page

    def test_equal_texts_are_said_to_be_equal(self, api: Api) -> None:
        job_id, _ = answered(api, "Where?", US=CHINESE, EU=CHINESE)
        assert "The texts are equal." in get(api, f"/jobs/{job_id}/compare")

    def test_a_question_of_ones_own_is_named_by_its_beginning(self, api: Api) -> None:
        job_id, question = answered(api, "Who won the war of 1812?", US="nobody", EU="both")
        analysed(api, job_id)
        page = get(api, f"/jobs/{job_id}/compare")
        assert re.search(rf'<th scope="row">.*{question}.*Who won the war of 1812\?</span></th>', page)
        assert f"{question} · Who won the war of 1812?</option>" in page
        client = log_in(api)
        asked = get(api, f"/jobs/{job_id}/retry?question_id={question}&region=US", client=client)
        assert "Retry \u2068Who won the war of 1812?\u2069 · US?" in asked
        assert f"Retry {question}" not in asked


class TestLinks:
    def test_a_cell_leads_to_its_call_and_tells_which_it_is(self, api: Api) -> None:
        job_id = api.submit(questions=["q2", "q1"])
        token = api.claim(job_id, "US")
        api.answer(job_id, "US", token, {("m1", "q1"): "one", ("m1", "q2"): None})
        api.record(job_id, "US", token, {"m1": True})
        page = get(api, f"/jobs/{job_id}")
        for question, word in (("q1", "completed"), ("q2", "http_503")):
            link = re.search(rf'href="(/executions/\d+)#(call-\d+)" aria-label="{word}: m1 in US, {question}"', page)
            assert link, question
            assert f'<h2 id="{link[2]}">' in get(api, link[1])
        execution = get(api, link[1])
        assert execution.index(">q2<") < execution.index(">q1<"), "in the order of the job"
        assert "This address names one of 2 calls" in execution

    def test_a_call_that_never_was_has_no_anchor(self, api: Api) -> None:
        job_id = api.submit()
        assert send(log_in(api), f"/jobs/{job_id}/cancel").status_code == 303
        links = re.findall(r'href="(/executions/[^"]+)"', get(api, f"/jobs/{job_id}"))
        assert links
        assert not [link for link in links if "#" in link]

    def test_the_heat_map_leads_to_the_answers(self, api: Api) -> None:
        job_id, question = answered(api, "Where?", US="here", EU="there")
        analysed(api, job_id)
        page = get(api, f"/jobs/{job_id}/compare")
        assert f'href="/jobs/{job_id}/compare?model=m1&amp;question={question}#side"' in page
        assert f'<form class="choose" method="get" action="/jobs/{job_id}/compare#side">' in page
        assert f'/compare?model=m1&amp;question={question}#side"' in get(api, f"/jobs/{job_id}")
        assert '<h2 id="side">' in page

    def test_every_link_to_a_place_leads_to_one(self, api: Api) -> None:
        job_id = api.submit(models=["m1", "m2"], runs=2)
        token = api.claim(job_id, "US")
        api.answer(job_id, "US", token, {("m1", "q1"): "one", ("m1", "q2"): None, ("m2", "q1"): "two"})
        api.record(job_id, "US", token, {"m1": True, "m2": False})
        checked = 0
        for path in (*pages_of(api, job_id), "/docs"):
            for link in set(re.findall(r'(?:href|action)="([^"]*#[^"]+)"', get(api, path))):
                at, _, place = link.replace("&amp;", "&").partition("#")
                if place.startswith("i-"):
                    continue  # a sign's drawing
                assert f' id="{place}"' in get(api, at or path), (path, link)
                checked += 1
        assert checked > 10


class TestSignsAndNames:
    def test_a_cancelled_region_is_not_shown_as_failed(self, api: Api) -> None:
        job_id = api.submit()
        api.finish(job_id, "US", {"m1": False})
        assert send(log_in(api), f"/jobs/{job_id}/cancel").status_code == 303
        timeline = get(api, f"/jobs/{job_id}").partition('id="timeline-region"')[2]
        ended = re.findall(r'<li class="(\w+)">(?:(?!</li>).)*<b>Region \w+</b> <bdi class="where">(\w+)', timeline)
        assert sorted(ended) == [("cancelled", "EU"), ("failed", "US")]
        assert "Region cancelled" in timeline

    def test_a_long_id_is_short_in_lists_and_whole_where_it_is_copied(self, api: Api) -> None:
        whole, own = "job-59c549cd-1c39-4b4e-9d3a-0a3a4d7a4f10", "nightly-2026-11-26"
        for job_id in (whole, own):
            api.submit(id=job_id)
        listed = get(api, "/")
        assert f'title="{whole}">job-59c549cd</bdi>' in listed
        assert f'data-copy="{whole}"' in listed
        assert f'title="{own}">{own}</bdi>' in listed
        assert f'<bdi class="id">{whole}</bdi>' in get(api, f"/jobs/{whole}")
        for shown in ("job-59c549cd", "59C549cd", whole):
            assert api.client.get(f"/?q={shown}").headers["Location"] == f"/jobs/{whole}", "what is shown finds it"

    def test_commands_can_be_copied_and_sentences_are_not_called_commands(self, api: Api) -> None:
        job_id = api.submit()
        page = get(api, f"/jobs/{job_id}")
        assert 'data-copy="python -m outbox_publisher"' in page
        api.sql("UPDATE outbox SET dead_at = now()")
        assert "Send it again from the Operations page." in get(api, f"/jobs/{job_id}")
        assert 'data-copy="Send' not in get(api, f"/jobs/{job_id}")
        assert 'data-copy="python -m runner_worker --region EU"' in get(api, "/operations")

    def test_lists_and_pages_say_partial_alike(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US", "EU"], "min_regions": 1, "min_success_rate": 0.9})
        api.finish(job_id, "US", {"m1": True})
        api.finish(job_id, "EU", {"m1": False})
        for path in ("/", "/?status=partial", "/?q=probe", f"/jobs/{job_id}", f"/jobs/{job_id}/compare"):
            assert 'class="state partial"' in get(api, path), path
        listed = api.get("/jobs")["jobs"][0]
        assert (listed["status"], listed["cross_region_status"]) == ("completed", "partial")

    def test_a_status_is_told_once(self, api: Api) -> None:
        from runner_worker.providers.failures import TryFailed

        assert TryFailed.from_status(404).sentence("p") == "Provider p: HTTP status 404."
        assert "(HTTP 418)" in TryFailed.from_status(418).sentence("p"), "where the sentence does not have it"

    def test_submit_knows_where_each_model_can_run(self, api: Api) -> None:
        """From the same catalogue that decides whether a job is accepted."""
        page = get(api, "/submit")
        offered = dict(re.findall(r'name="model" value="([^"]+)" data-regions="([^"]+)"', page))
        for model, regions in offered.items():
            for region in api.catalogue.regions:
                answer = api.post(api.job(models=[model], constraints={"regions": [region]}))
                assert (answer.status_code == 202) == (region in regions.split()), (model, region)
        assert set(offered) == set(api.catalogue.models)

    def test_the_limits_of_submit_are_those_of_the_api(self, api: Api) -> None:
        limits = dict(re.findall(r'name="(\w+)" type="number" min="1" max="(\d+)"', get(api, "/submit")))
        most = {name: int(limit) for name, limit in limits.items()}
        everywhere = {"regions": list(api.catalogue.regions)}
        for above, accepted in ((0, 202), (1, 422)):
            for changes in (
                {"runs": most["runs"] + above},
                {"constraints": everywhere | {"min_regions": most["min_regions"] + above}},
                {"constraints": everywhere | {"timeout": (most["timeout"] + above) * 60_000_000_000}},
            ):
                assert api.post(api.job(**changes)).status_code == accepted, changes


class TestForAssistiveTechnology:
    @pytest.mark.parametrize("kind", ["job", "compare", "operations"])
    def test_landmarks_have_names_of_their_own_and_headers_have_names(self, api: Api, kind: str) -> None:
        job_id, _ = answered(api, "Where?", US="here", EU="there")
        other = api.submit()
        api.sql("UPDATE outbox SET dead_at = now(), last_error = 'refused' WHERE job_id = %s", other)
        api.sql("UPDATE jobs SET created_at = now() - interval '1 day' WHERE id = %s", other)
        analysed(api, job_id)
        path = {"job": f"/jobs/{job_id}", "compare": f"/jobs/{job_id}/compare", "operations": "/operations"}[kind]
        found = Tags(get(api, path))
        names = [
            attributes.get("aria-labelledby") or attributes.get("aria-label")
            for tag, attributes in found.tags
            if tag in ("section", "nav") or attributes.get("role") == "region"
        ]
        named = [name for name in names if name]
        assert len(named) == len(set(named))
        assert "" not in found.headers
        assert "Action" in found.headers or kind != "operations"
