"""The page that submits, in a real browser: its search, what stays in sight, and a job that is submitted again."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browsing import LOOKS, call, looking, regions_file, shoot, submit, until_ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]


def with_many_questions(home: Path) -> Path:
    path = regions_file(home)
    many = "".join(f'topic_{number:02} = "What is known about topic {number}?"\n' for number in range(55))
    path.write_text(path.read_text().replace("[questions]\n", f"[questions]\n{many}"))
    return path


def test_a_job_is_submitted_again_as_it_was(browser: "Browser", local: "Local") -> None:
    first = submit(
        local, ["steady", "refuser"], ["math_basic", "Mine?\n\nIn three lines."], runs=2, timeout=90_000_000_000
    )
    with looking(browser, local) as page:
        page.goto(f"/jobs/{first}")
        page.get_by_role("link", name="Submit again").click()
        page.get_by_role("heading", name="Submit again").wait_for()
        page.get_by_text("24 calls in 3 regions.").wait_for()
        page.locator("#key-file").set_input_files(local.signing_key)
        page.get_by_text("Signs with the key").wait_for()
        shoot(page, "submit-again")
        page.get_by_role("button", name="Sign and submit").click()
        page.wait_for_url("**/jobs/web-*")
        second = page.url.partition("/jobs/")[2].partition("?")[0]
        until_ended(page, "completed")
    before, after = (call(local, f"/api/v1/jobs/{job_id}")["job"] for job_id in (first, second))
    for name in ("version", "benchmark", "constraints", "questions", "models", "runs"):
        assert after[name] == before[name], name
    assert after["id"] != before["id"]
    assert after["metadata"]["nonce"] != before["metadata"]["nonce"]


@pytest.mark.parametrize("look", ["light", "phone"])
def test_search_and_what_stays_in_sight(
    look: str, browser: "Browser", stack: "Callable[..., Local]", home: Path
) -> None:
    local = stack(env={"REGIONS_FILE": str(with_many_questions(home))})
    with looking(browser, local, **LOOKS[look]) as page:
        page.goto("/submit")
        assert page.get_by_role("button", name="Sign and submit").is_visible()
        seen = "document.getElementById('send').getBoundingClientRect().bottom <= innerHeight"
        assert page.evaluate(seen), "the button is in sight at the top of the page"
        page.get_by_label("topic_07").check()
        page.get_by_label("Search in the questions").fill("TOPIC 12?")
        page.get_by_text("1 question", exact=True).wait_for()
        assert page.locator("[name=question]:visible").evaluate_all("all => all.map((one) => one.value)") == [
            "topic_07",
            "topic_12",
        ]
        page.get_by_label("Search in the questions").press("Enter")
        page.get_by_label("topic_12").check()
        page.get_by_label("Search in the questions").fill("")
        assert page.locator("[name=question]:visible").count() == 58
        page.get_by_text("6 calls in 3 regions.").wait_for()
        page.get_by_role("button", name="Sign and submit").click()
        page.get_by_text("A private key is needed.").wait_for()
        assert page.evaluate(seen)
        page.get_by_text("Where is my key?").click()
        page.get_by_text("signing.pem").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shoot(page, f"submit-{look}-many")


def test_the_earlier_jobs_questions_can_be_taken_out(browser: "Browser", local: "Local") -> None:
    first = submit(local, ["steady"], ["Mine?", "math_basic"])
    with looking(browser, local) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.post_data or ""))
        page.goto(f"/submit?again={first}")
        page.get_by_label("Mine?").uncheck()
        page.get_by_label("Other questions, one per line").fill("New?\n\n Newer? ")
        page.get_by_label("Runs", exact=True).fill("2")
        page.locator("#key-file").set_input_files(local.signing_key)
        page.get_by_text("Signs with the key").wait_for()
        page.get_by_role("button", name="Sign and submit").click()
        page.wait_for_url("**/jobs/web-*")
    job = json.loads(next(body for body in sent if '"signature"' in body))
    assert job["questions"] == ["math_basic", "New?", "Newer?"]
    assert job["runs"] == 2
