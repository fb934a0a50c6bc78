"""The comparison in a real browser, analysed by the stack's analyst: read without colour, on paper and on a phone.

Screenshots of each kind of finding are kept in artefacts/.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.axe import violations
from tests.acceptance.browsing import LOOKS, log_in, looking, shoot
from tests.acceptance.compared_jobs import JOBS, regions_file, until_compared

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

WIDER = "document.documentElement.scrollWidth > innerWidth"


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


@pytest.fixture(scope="module", autouse=True)
def _ended(browser: "Browser", local: "Local") -> None:
    until_compared(browser, local, JOBS)


def letters(page: "Page") -> set[str]:
    return set(page.locator(".heat .verdict b").all_inner_texts())


@pytest.mark.parametrize("look", LOOKS)
def test_each_finding_is_read_behind_its_cautions(browser: "Browser", local: "Local", look: str) -> None:
    with looking(browser, local, **LOOKS[look]) as page:
        for name in JOBS:
            page.goto(f"/jobs/{name}/compare?question=city")
            cautions, sentence = (page.locator(at).bounding_box() for at in (".cautions", ".headline"))
            assert cautions
            assert sentence
            assert cautions["y"] + cautions["height"] <= sentence["y"]
            assert not page.evaluate(WIDER), name
            assert violations(page) == [], name
            shoot(page, f"comparison-{name}-{look}")


def test_nothing_is_wider_than_a_small_screen(browser: "Browser", local: "Local") -> None:
    for width in (320, 768, 900):
        with looking(browser, local, viewport={"width": width, "height": 800}) as page:
            log_in(page, local.admin_token)
            for path in ("/jobs/withheld", "/jobs/withheld/compare?model=refuser&question=city", "/jobs/errors/label"):
                page.goto(path)
                assert not page.evaluate(WIDER), (width, path)


def test_verdicts_are_read_without_colour_and_on_paper(browser: "Browser", local: "Local") -> None:
    with looking(browser, local, color_scheme="dark") as page:
        page.goto("/jobs/withheld/compare?model=refuser&question=city")
        assert "W" in letters(page)
        page.emulate_media(media="print")
        marked = page.locator(".heat .verdict.withheld_differs").first
        assert marked.evaluate("at => getComputedStyle(at).backgroundColor") == "rgba(0, 0, 0, 0)"
        assert marked.evaluate("at => parseFloat(getComputedStyle(at).borderTopWidth)") >= 2
        assert page.locator(".plot .zero").first.is_visible()
        assert page.locator(".plot .ring").count() > 0, "the control questions"
        shoot(page, "comparison-withheld-paper")
    with looking(browser, local, forced_colors="active") as page:
        page.goto("/jobs/wording/compare")
        assert "T" in letters(page)
        shoot(page, "comparison-wording-forced")


def test_without_a_script_everything_is_there(browser: "Browser", local: "Local") -> None:
    with looking(browser, local, java_script_enabled=False) as page:
        page.goto("/jobs/withheld/compare")
        page.locator(".heat a").first.click()
        page.wait_for_url("**#side")
        assert page.locator(".strip .dots").count() > 0
        log_in(page, local.admin_token)
        page.goto("/jobs/not-enough/label?sample=2")
        for place in (1, 2):
            page.get_by_role("heading", name=f"Answer {place} of 2").wait_for()
            page.get_by_label("answer It answers").check()
            page.get_by_role("button", name="Save and go on").click()
        page.get_by_text("Every answer of the sample is labelled.").wait_for()
