"""The map of verdicts on the comparison page: filters and order in the address, the way through it, folded answers."""

import re

from tests.integration.analysed_jobs import analysed, ended
from tests.integration.api_client import Api
from tests.integration.portal_pages import get
from tests.integration.repeated_runs import REFUSAL, asked
from tests.integration.test_compare_page import one_error


def one_withheld(region: str, number: int, run: int) -> str | None:
    """US withholds the answers to the third question only."""
    return REFUSAL if (region, number) == ("US", 2) else f"Word{run} {number}"


def questions_of(page: str) -> list[str]:
    """The questions of the map's lines, as they stand below each other."""
    table = page.partition('class="heat"')[2].partition("</table>")[0]
    return re.findall(r"name of number (\d)\?</span></th>", table)


def href(page: str, link: str) -> str:
    (found,) = re.findall(rf'id="{link}"[^>]* href="([^"]+)"', page)
    return str(found).replace("&amp;", "&")


def test_the_most_different_question_comes_first(api: Api) -> None:
    job_id = asked(api, one_withheld, questions=4, runs=10)
    analysed(api, job_id)
    page = get(api, f"/jobs/{job_id}/compare")
    assert questions_of(page) == ["2", "0", "1", "3"]
    as_in_the_job = get(api, href(page, "order-job"))
    assert questions_of(as_in_the_job) == ["0", "1", "2", "3"]
    assert 'id="order-job" href="' in as_in_the_job
    assert "order=job" in href(as_in_the_job, "next-cell"), "the choice stays"


def test_filters_stand_in_the_address_and_say_what_they_leave(api: Api) -> None:
    job_id = asked(api, one_withheld, questions=4, runs=10)
    analysed(api, job_id)
    page = get(api, f"/jobs/{job_id}/compare")
    for show, left in (("different", ["2"]), ("refused", ["2"]), ("failed", [])):
        chosen = get(api, href(page, f"show-{show}"))
        assert questions_of(chosen) == left
        assert re.search(
            rf'id="show-{show}"[^>]*aria-current="true"><bdi>{show.capitalize()}</bdi> <b>{len(left)}</b>', chosen
        )
    assert "No question is failed." in chosen
    assert questions_of(get(api, f"/jobs/{job_id}/compare?show=nonsense&order=nonsense")) == ["2", "0", "1", "3"]


def test_the_way_leads_to_the_next_answers_and_differences(api: Api) -> None:
    job_id = asked(api, one_withheld, questions=4, runs=10)
    analysed(api, job_id)
    page = get(api, f"/jobs/{job_id}/compare?order=job")
    assert 'id="previous-cell"' not in page
    page = get(api, href(page, "next-different").partition("#")[0])
    assert "name of number 2?" in page.partition('class="asked')[2].partition("</p>")[0]
    assert 'id="next-different"' not in page
    assert href(page, "next-cell").endswith("#side")


def test_a_map_counts_answers_until_there_is_an_analysis(api: Api) -> None:
    job_id = api.submit()
    assert "0 of 2 calls" in get(api, f"/jobs/{job_id}/compare")
    api.finish(job_id, "US", {"m1": True})
    page = get(api, f"/jobs/{job_id}/compare")
    assert "1 of 2 calls" in page
    assert 'data-every="4"' in page, "it fills while the job runs"
    assert "order-job" not in page, "no answer is known to be different"
    failed = asked(api, one_error, questions=2)
    assert "name of number 0" in get(api, f"/jobs/{failed}/compare?show=failed")
    assert questions_of(get(api, f"/jobs/{failed}/compare?show=failed")) == ["0"]


def test_long_answers_are_folded_together(api: Api) -> None:
    long = "word " * 500
    job_id = asked(api, lambda region, number, run: long if region == "US" else "short", questions=1)
    page = get(api, f"/jobs/{job_id}/compare")
    assert "Show the whole answers (the longest has 2,500 characters)" in page
    assert long in page, "it is there for a search, for paper and for a screen reader"
    assert "open-whole" not in get(api, f"/jobs/{ended(api)}/compare")
