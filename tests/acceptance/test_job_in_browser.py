"""A job's page in a real browser while the job runs: a refresh takes nothing away from who reads, and costs little."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browsing import call, looking, refreshed, regions_file, shoot, submit, until_ended

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

# Keeps the number of answers that the page's own stream told it of.
TOLD = """
window.EventSource = class extends EventSource {
  constructor(...given) {
    super(...given);
    this.addEventListener("progress", (event) => { window.told = JSON.parse(event.data).answers.done; });
  }
};
"""
SELECTED = "() => getSelection().toString()"
# Counts the nodes that a refresh adds, removes and changes in an element.
COUNT = """
(selector) => {
  window.changes = 0;
  const count = (one) => { window.changes += one.addedNodes.length + one.removedNodes.length || 1; };
  const all = { subtree: true, childList: true, attributes: true, characterData: true };
  new MutationObserver((seen) => seen.forEach(count)).observe(document.querySelector(selector), all);
}
"""
SIZES = "() => performance.getEntriesByType('resource').map((entry) => entry.decodedBodySize)"
TEXTS = [f"Question {n}: what is it?" for n in range(50)]


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


def test_a_selection_stays_and_the_page_says_what_it_misses(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["slow"], runs=2)
    with looking(browser, local) as page:
        page.goto(f"/jobs/{job_id}")
        page.locator("td[data-label=US] a.state.completed").first.wait_for()
        page.locator("#question-1 h3").select_text()
        chosen = page.evaluate(SELECTED)
        assert chosen
        page.locator("#pill").get_by_text(re.compile(r"^paused, ([2-9]|\d\d) changes$")).wait_for()
        assert page.evaluate(SELECTED) == chosen
        shoot(page, "flow-paused")
        page.get_by_role("button", name="Give the selection up").click()
        page.locator("#pill").wait_for(state="hidden")
        until_ended(page, "completed")


def test_nothing_is_missed_after_a_refresh_without_news(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["slow", "endless"])
    with looking(browser, local) as page:
        page.add_init_script(TOLD)
        page.goto(f"/jobs/{job_id}")
        page.locator("#question-1 h3").select_text()
        page.locator("#pill").get_by_text(re.compile(r"^paused, \d+ changes?$")).wait_for()
        page.wait_for_function("() => window.told === 12")  # then no event comes any more: the other calls hang
        held: list[Route] = []
        page.route(f"**/jobs/{job_id}", lambda route: held.append(route))
        with page.expect_request(f"**/jobs/{job_id}"):
            page.evaluate("getSelection().removeAllRanges()")
        # Meanwhile the next refresh becomes due, and text is selected again.
        page.evaluate("document.dispatchEvent(new Event('htmx:sseOpen'))")
        page.locator("#question-1 h3").select_text()
        page.locator("#pill").get_by_text(re.compile(r"^paused, \d+ changes?$")).wait_for()
        while not held:
            page.wait_for_timeout(50)
        held[0].fulfill(status=204)
        page.locator("#pill").get_by_text("paused", exact=True).wait_for()


def test_focus_and_open_blocks_stay(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["endless"])
    with looking(browser, local) as page:
        page.goto(f"/jobs/{job_id}")
        page.locator("td[data-label=US] a.state.completed").first.wait_for()
        page.locator("#lanes-numbers").click()
        page.locator("#fold-2").click()
        page.locator("td[data-label=US] a.state.completed").first.focus()
        focused = page.evaluate("document.activeElement.id")
        page.evaluate("document.activeElement.mine = true")
        for _ in range(2):
            refreshed(page)
        assert page.evaluate("document.activeElement.id") == focused
        assert page.evaluate("document.activeElement.mine"), "the same node, and not another of its name"
        assert page.locator("#lanes-table").evaluate("at => at.open")
        assert not page.locator("#question-2").evaluate("at => at.open")
        assert page.locator("#question-1").evaluate("at => at.open")


def test_a_refresh_touches_only_what_has_changed(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["endless", "steady"], TEXTS)
    with looking(browser, local) as page:
        page.goto(f"/jobs/{job_id}")
        # 100 in US and 50 in each other region: then no answer comes any more.
        page.wait_for_function("() => document.querySelectorAll('#grid-region td a.state.completed').length === 200")
        refreshed(page)
        nodes = page.evaluate("document.querySelectorAll('#live *').length")
        assert nodes > 2000
        page.evaluate(COUNT, "#grid-region")
        page.evaluate("performance.clearResourceTimings()")
        for _ in range(2):
            refreshed(page)
        sizes = page.evaluate(SIZES)
        assert page.evaluate("window.changes") == 0, "nothing of the grid has changed"
        assert sizes
        assert max(sizes) < 40_000


def test_a_tab_follows_the_state(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["endless"])
    with looking(browser, local) as page:
        page.goto(f"/jobs/{job_id}")
        page.wait_for_function("() => document.title.startsWith('probe · running')")
        assert "icon-running" in str(page.locator("link[rel=icon]").get_attribute("href"))
        call(local, f"/api/v1/jobs/{job_id}/cancel", {})
        page.wait_for_function("() => document.title.startsWith('probe · cancelled')")
        assert "icon-cancelled" in str(page.locator("link[rel=icon]").get_attribute("href"))


def test_the_regions_stay_in_sight(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"], TEXTS[:20])
    with looking(browser, local) as page:
        page.goto(f"/jobs/{job_id}?view=answers")
        until_ended(page, "completed")
        page.locator("#question-15").scroll_into_view_if_needed()
        page.locator("#question-15").evaluate("at => at.scrollIntoView()")
        assert page.locator(".heads").evaluate("at => Math.abs(at.getBoundingClientRect().top) < 2")
        page.reload()
        assert page.locator(".block[open]").count() == 0, "what is done as hoped is folded when the page is opened"
        page.locator("#fold-15").click()
        page.locator("#question-15 a.state.completed").first.wait_for()


def test_times_of_the_reader(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"])
    with looking(browser, local, timezone_id="Asia/Kolkata") as page:
        page.goto(f"/jobs/{job_id}")
        until_ended(page, "completed")
        page.get_by_role("link", name="show local times").click()
        page.get_by_text("times in Asia/").wait_for()
        page.locator("#question-1 a.state").first.click()
        page.wait_for_url("**/executions/*tz=local**")  # a link keeps the choice
        shown = page.locator("time.at").first
        local_time, utc = shown.inner_text(), shown.get_attribute("title")
        page.get_by_role("link", name="show UTC").click()
        page.get_by_text("times are UTC").wait_for()
        assert page.locator("time.at").first.inner_text() == utc
        assert local_time != utc
        page.get_by_role("link", name="Jobs", exact=True).first.click()
        page.get_by_text("times are UTC").wait_for()


def test_prompt_and_answer_are_copied(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"], ["What is <b>bold</b> & \u00e9?"])
    with looking(browser, local) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"/jobs/{job_id}")
        until_ended(page, "completed")
        whole = page.locator("#question-1 .excerpt").first.inner_text()
        page.locator("#question-1 .excerpt").first.click()  # the whole cell leads there
        page.wait_for_url("**/executions/**#call-**")
        for what, text in (("prompt", "What is <b>bold</b> & \u00e9?"), ("answer", whole)):
            page.get_by_role("button", name=f"Copy the {what} of call").click()
            page.get_by_text("· copied").wait_for()  # of the first copy, perhaps
            page.wait_for_function("text => navigator.clipboard.readText().then((held) => held === text)", arg=text)
        page.get_by_role("link", name=re.compile("^The same call in EU")).click()
        page.wait_for_url("**#call-**")
        page.get_by_role("heading", name="steady in EU").wait_for()
