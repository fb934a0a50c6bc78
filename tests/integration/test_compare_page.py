"""The comparison page: the finding behind its cautions, verdicts as letters, plots with their numbers as text."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from runner_api import portal
from runner_api.http.services import services
from runner_core.comparison import circumstances, headline
from tests.integration.analysed_jobs import add_label, analysed, ended
from tests.integration.api_client import Api
from tests.integration.portal_pages import get
from tests.integration.repeated_runs import REFUSAL, asked

CLAIMS = re.compile(r"bias score|agree|contradict|words in common", re.IGNORECASE)
ONE_WORD = re.compile(r"no word in common")  # what a distance of 1 is


LONG = [f"word{number}" for number in range(25)]


def withheld(region: str, number: int, run: int) -> str | None:
    return REFUSAL if region == "US" else f"It is called {number}."


def alike(region: str, number: int, run: int) -> str | None:
    return f"It is called {number}, and it has been so for {(number * 7 + run * 3 + len(region)) % 5} years."


def one_error(region: str, number: int, run: int) -> str | None:
    return None if (region, number, run) == ("EU", 0, 1) else alike(region, number, run)


def compared(api: Api, job_id: str) -> str:
    analysed(api, job_id)
    return get(api, f"/jobs/{job_id}/compare")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


class TestFinding:
    def test_a_difference_stands_behind_its_cautions_as_in_the_result(self, api: Api) -> None:
        job_id = asked(api, withheld, runs=4)
        result = analysed(api, job_id)
        page = get(api, f"/jobs/{job_id}/compare")
        assert result["headline"]["kind"] == "difference"
        box = page.partition('class="finding difference"')[2].partition("</section>")[0]
        assert box.index(circumstances.TEXTS["simulated"].replace("'", "&#39;")) < box.index(
            "m1 withheld its answer in"
        )
        assert "100 points" in page
        assert '<b aria-hidden="true">W</b><span class="hidden">withheld differs</span>' in page
        assert '<path class="zero"' in page
        assert "<b>differs</b>" in page

    def test_what_may_come_from_a_cache_is_said_beside_marks_and_outcomes(self, api: Api) -> None:
        job_id = asked(api, lambda region, number, run: f"{region} says " + " ".join(LONG), runs=5)
        page = compared(api, job_id)
        assert (
            "All copies of a text then count as one answer" in page.partition('id="heat"')[2].partition("</section>")[0]
        )
        told = text_of(page)
        assert told.count("All copies of a text then count as one answer") == 3, "map, question and model"
        assert "do not give the same distribution" not in told
        assert "All copies of a text" not in compared(api, asked(api, alike, runs=5))

    def test_different_prompts_come_first_and_shut_the_question_of_the_model(self, api: Api) -> None:
        job_id = asked(api, alike, questions=2, runs=2)
        api.sql(
            "UPDATE executions SET parameters = parameters || jsonb_build_object('system_prompt', region)"
            " WHERE job_id = %s",
            job_id,
        )
        page = compared(api, job_id)
        told = page.partition('class="finding')[2]
        caution = circumstances.TEXTS["system_prompts_differ"].replace("'", "&#39;")
        assert told.index(caution) < told.index('class="headline"')
        assert "The regions were not asked under equal conditions." in page
        assert get(api, f"/jobs/{job_id}").index(caution) > 0, "on the job's page too"

    def test_equal_prompts_open_the_question_of_the_model(self, api: Api) -> None:
        job_id = asked(api, alike, questions=2, runs=3)
        api.sql("""UPDATE answers SET sent = '{"temperature": 0.7}' WHERE job_id = %s""", job_id)
        page = compared(api, job_id)
        assert "not asked under equal conditions" not in page
        assert "No seed was sent in EU and US: the provider drew its own random numbers" in page
        assert re.search('class="same">[^<]*(No sign of different models|do not give the same distribution)', page)

    def test_a_pair_with_the_plain_region_of_one_is_told_as_the_prompt(self, api: Api) -> None:
        regions = {**api.catalogue.regions, "US": replace(api.catalogue.regions["US"], plain="EU")}
        with api.app.app_context():
            replace(services(), catalogue=replace(api.catalogue, regions=regions)).install(api.app)
        page = compared(api, asked(api, withheld, runs=4))
        assert "<small>prompt</small>" in page
        assert "Prompt: one endpoint with two prompts" in page
        assert "<small>place</small>" not in page

    def test_a_pair_with_one_prompt_in_the_job_is_not_told_as_the_prompt(self, api: Api) -> None:
        regions = {**api.catalogue.regions, "US": replace(api.catalogue.regions["US"], plain="EU")}
        with api.app.app_context():
            replace(services(), catalogue=replace(api.catalogue, regions=regions)).install(api.app)
        job_id = asked(api, withheld, runs=4)
        api.sql("UPDATE executions SET parameters = parameters || jsonb_build_object('system_prompt', 'Be brief.')")
        assert "<small>neither place nor prompt</small>" in compared(api, job_id)

    def test_one_run_claims_nothing_and_has_no_test_of_wording(self, api: Api) -> None:
        page = compared(api, asked(api, lambda region, number, run: f"It is {region}.", questions=1))
        assert "Not enough evidence: one run of each question." in text_of(page).replace("&#39;", "'")
        assert '<b aria-hidden="true">?</b>' in page
        assert "Wording needs two runs in two regions" in page
        assert "excess" not in page.partition('class="heat"')[2].partition("</table>")[0]

    def test_no_difference_is_not_called_equality(self, api: Api) -> None:
        page = compared(api, asked(api, lambda region, number, run: f"Word{run} {number}", questions=8, runs=4))
        assert 'class="finding none"' in page
        assert "which does not show that there is none" in page

    def test_an_error_is_an_error_and_no_refusal(self, api: Api) -> None:
        page = compared(api, asked(api, one_error, questions=2, runs=2))
        heat = page.partition('class="heat"')[2].partition("</table>")[0]
        assert "1 error" in heat
        assert "withheld" not in text_of(heat)


class TestStates:
    def test_there_is_no_number_before_the_analysis(self, api: Api) -> None:
        job_id = ended(api)
        page = get(api, f"/jobs/{job_id}/compare")
        assert "The comparison is being computed." in page
        assert 'data-every="4"' in page
        assert set(re.findall('class="verdict ([a-z_]+)"', page)) == {"answered"}, "answers are counted, not compared"
        assert "The comparison is being computed." in get(api, f"/jobs/{job_id}")
        compared(api, job_id)
        assert 'data-every="0"' in get(api, f"/jobs/{job_id}/compare")

    def test_an_earlier_analysis_says_that_it_is_one(self, api: Api) -> None:
        job_id = asked(api, withheld)
        result = analysed(api, job_id)
        add_label(api, job_id)
        page = get(api, f"/jobs/{job_id}/compare")
        assert "is being computed again" in page
        assert "m1 withheld its answer" not in page
        link = re.search(r'id="previous" href="([^"]+)"', page)
        assert link
        earlier = get(api, link[1])
        assert "This is an earlier analysis" in earlier
        assert result["headline"]["text"].partition(" in ")[0] in earlier
        assert 'class="forest strip"' not in earlier, "the dots would be of other answers"
        get(api, f"/jobs/{job_id}/compare?at={'0' * 64}", 404)
        assert get(api, f"/jobs/{job_id}/compare?at=nothing")

    def test_a_job_of_one_region_says_so(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US"]})
        api.finish(job_id, "US", {"m1": True})
        for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/compare"):
            assert "No model of this job was asked in two regions" in get(api, path)


class TestQuestion:
    def test_equal_texts_stand_once_with_their_runs(self, api: Api) -> None:
        job_id = asked(api, lambda region, n, run: "the same" if run < 3 else f"another {region}", questions=1, runs=3)
        page = compared(api, job_id)
        side = page.partition("<h3>EU</h3>")[2].partition("</article>")[0]
        assert "2 of 3 runs: #1, #2" in text_of(side)
        assert "1 other outcome" in side
        assert side.count("the same") == 1

    def test_the_strip_has_the_means_of_the_result_and_dots(self, api: Api) -> None:
        job_id = asked(api, alike, questions=1, runs=3)
        result = analysed(api, job_id)
        page = get(api, f"/jobs/{job_id}/compare")
        across = result["models"][0]["questions"][0]["across"]["EU|US"]
        strip = page.partition('class="forest strip"')[2].partition("</table>")[0]
        assert f"{across:.2f} 9 pairs" in text_of(strip)
        assert strip.count('class="dots"') == 3

    def test_each_answer_says_what_it_is_and_who_says_so(self, api: Api) -> None:
        job_id = asked(api, withheld, questions=1)
        assert "hard refusal by rules" in text_of(compared(api, job_id))
        add_label(api, job_id, "deflection")
        assert "deflection by human" in text_of(get(api, f"/jobs/{job_id}/compare"))


class TestChinese:
    def test_one_character_more_is_a_small_distance_and_no_mark(self, api: Api) -> None:
        text = "埃菲尔铁塔位于法国巴黎市中心,建于一八八九年,是世界上最著名的建筑物之一。"
        job_id = asked(api, lambda region, n, run: text + "也" * (region == "US" and run == 1), questions=1, runs=4)
        result = analysed(api, job_id)
        (question,) = result["models"][0]["questions"]
        assert 0 < question["across"]["EU|US"] < 0.1
        heat = get(api, f"/jobs/{job_id}/compare").partition('class="heat"')[2].partition("</table>")[0]
        assert "differs" not in heat


class TestHow:
    def test_a_stranger_gets_everything_to_compute_it_again(self, api: Api) -> None:
        job_id = asked(api, withheld, questions=2)
        page = compared(api, job_id)
        how = page.partition('aria-labelledby="how"')[2].partition("</section>")[0]
        for link in re.findall(r'href="(/[^"]+)"', how):
            answer = api.client.get(link)
            assert answer.status_code == 200, link
        assert api.client.get("/recompute.py").text == (Path(__file__).parents[2] / "docs/recompute.py").read_text()
        assert "beacon-compare/1+refusal-rules/2" in how


@pytest.mark.parametrize(
    "path", sorted((Path(portal.__file__).parent / "templates").glob("*.html")), ids=lambda p: p.name
)
def test_no_page_claims_more_than_the_method_says(path: Path) -> None:
    assert not CLAIMS.search(ONE_WORD.sub("", path.read_text()))


def test_no_sentence_claims_more_than_the_method_says() -> None:
    for module in (headline, circumstances):
        assert module.__file__
        assert not CLAIMS.search(Path(module.__file__).read_text())
