"""The map of verdicts and the report in a real browser: keys and clicks, paper, and a file without network."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browsing import KEPT, LOOKS, looking, shoot
from tests.acceptance.compared_jobs import regions_file, until_compared

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

A4 = {"width": 718, "height": 1000}  # what @page leaves of it, in CSS pixels
FOCUSED = "document.activeElement.id"
SCROLL = """
(at) => {
  at.style.maxHeight = "180px";
  at.style.maxWidth = "300px";
  at.scrollTo({ top: 120, left: 80, behavior: "instant" });
}
"""
# Of the map's corner, of its last heading and of its first question: how far from the upper and from the left edge.
PLACES = """
(at) => ["thead th:first-child", "thead th:last-child", "tbody th"].map((one) => {
  const box = at.querySelector(one).getBoundingClientRect(), own = at.getBoundingClientRect();
  return [Math.round(box.top - own.top), Math.round(box.left - own.left)];
})
"""
SEEN = "(at) => { const box = at.getBoundingClientRect(); return box.top < innerHeight && box.bottom > 0; }"
NAMED = "(at) => ['model', 'question'].map((name) => new URL(at.href).searchParams.get(name))"


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


@pytest.fixture(scope="module", autouse=True)
def _ended(browser: "Browser", local: "Local") -> None:
    until_compared(browser, local, ["withheld", "wording", "not-enough"])


def chosen(page: "Page") -> str:
    return str(page.locator(".heat a[aria-current]").get_attribute("id"))


def in_sight(page: "Page", selector: str) -> bool:
    return bool(page.locator(selector).first.evaluate(SEEN))


def test_a_click_keeps_the_map_and_shows_the_answers_below_it(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/jobs/withheld/compare")
        page.evaluate("window.notReloaded = true")
        before = page.url
        for number in ("1-1", "3-2"):
            page.locator(f"#cell-{number}").click()
            page.wait_for_selector(f"#cell-{number}[aria-current]")
            model, question = page.locator(f"#cell-{number}").evaluate(NAMED)
            assert f"model={model}&question={question}" in page.url
            assert page.locator("#side").inner_text() == model
            assert page.locator("#choose-question").input_value() == question
            page.wait_for_function(
                "() => document.getElementById('side').getBoundingClientRect().top < innerHeight * 0.85"
            )
            assert in_sight(page, f"#cell-{number}")
        assert page.evaluate("window.notReloaded") is True
        page.go_back()
        page.wait_for_selector("#cell-1-1[aria-current]")
        page.go_back()
        page.wait_for_url(before)
        page.wait_for_selector(".controls a[aria-current]")  # the first question of the job
        assert page.evaluate("window.notReloaded") is True
        page.reload()
        shoot(page, "comparison-map-light")


def test_keys_walk_through_the_map(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/jobs/withheld/compare")
        page.evaluate("window.notReloaded = true")
        assert page.locator("#heat-region [tabindex='0'], #heat-region a:not([tabindex])").count() == 1, "one tab stop"
        page.locator("#cell-1-1").click()
        page.wait_for_selector("#cell-1-1[aria-current]")
        page.locator(".heat a[tabindex='0']").focus()
        first = page.evaluate(FOCUSED)
        assert first == "cell-1-1"
        for key, at in (
            ("ArrowRight", "cell-1-2"),
            ("ArrowDown", "cell-2-2"),
            ("Home", "cell-2-1"),
            ("ArrowUp", first),
            ("ArrowUp", first),
            ("End", "cell-1-2"),
        ):
            page.keyboard.press(key)
            assert page.evaluate(FOCUSED) == at
        page.keyboard.press("Enter")
        page.wait_for_selector("#cell-1-2[aria-current]")
        differing = [str(one.get_attribute("id")) for one in page.locator(".heat a[data-differs]").all()]
        assert len(differing) > 1
        page.goto("/jobs/withheld/compare?question=math_basic")
        page.locator("h1").click()
        page.keyboard.press("k")
        page.wait_for_selector(f"#{differing[-1]}[aria-current]")
        assert page.evaluate(FOCUSED) == differing[-1]
        page.keyboard.press("k")
        page.wait_for_selector(f"#{differing[-2]}[aria-current]")
        page.keyboard.press("j")
        page.wait_for_selector(f"#{differing[-1]}[aria-current]")
        page.keyboard.press("j")
        page.get_by_text("There is no further difference").wait_for(state="attached")
        assert chosen(page) == differing[-1]
        page.locator("#choose-question").focus()
        page.keyboard.press("k")
        assert chosen(page) == differing[-1], "a key in a field is the field's"


def test_next_and_previous_stay_at_hand(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/jobs/withheld/compare?order=job&question=city&model=refuser")
        page.locator("#next-cell").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#cell-1-2[aria-current]")
        assert page.evaluate(FOCUSED) == "next-cell", "so that it can be pressed again"
        page.locator("#show-different").click()
        page.wait_for_url("**show=different**")
        assert page.locator(".heat tbody tr:has(a)").count() == page.locator(".heat tr:has(a[data-differs])").count()


def test_header_and_questions_stick(browser: "Browser", local: "Local") -> None:
    for look, options in LOOKS.items():
        with looking(browser, local, **options) as page:
            page.goto("/jobs/withheld/compare")
            region = page.locator("#heat-region")
            region.evaluate(SCROLL)
            corner, head, question = region.evaluate(PLACES)
            assert corner[0] <= 1, look
            assert corner[1] <= 1, look
            assert head[0] <= 1, look
            assert question[1] <= 1, look


def test_the_report_opens_from_a_file_and_prints(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/jobs/withheld/compare")
        with page.expect_download() as download:
            page.get_by_role("link", name="Report").click()
        assert download.value.suggested_filename == "withheld-report.html"
        file = KEPT / "report.html"
        download.value.save_as(file)
        page.goto("/jobs/withheld/report.html")
        assert page.locator(".heat").is_visible(), "shown by the portal, too"
    for look, options in {**LOOKS, "paper": {"viewport": A4}}.items():
        with looking(browser, local, offline=True, **options) as page:
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(file.as_uri())
            if look == "paper":
                page.emulate_media(media="print")
            assert page.locator(".headline").is_visible()
            assert page.evaluate("getComputedStyle(document.querySelector('.side')).borderTopWidth") == "1px", "styled"
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), look
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            page.locator(".heat a").first.click()
            page.wait_for_url("**#answers-**")
            page.screenshot(path=KEPT / f"report-file-{look}.png")  # of the answers; the whole is metres long
            if look == "paper":
                paper = page.pdf(format="A4", prefer_css_page_size=True, print_background=True)
                (KEPT / "report.pdf").write_bytes(paper)
                assert paper.count(b"/Type /Page\n") > 2
