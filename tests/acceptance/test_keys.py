"""What the keyboard does on the pages: the search, the list of keys, and the charts, which are one stop each."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browsing import log_in, looking, refreshed, regions_file, submit, until_ended

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]
FOCUSED = "document.activeElement.id"


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


def test_the_search_and_the_list_of_keys(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/")
        page.keyboard.press("/")
        assert page.evaluate(FOCUSED) == "q"
        page.keyboard.type("a/b?")
        assert page.locator("#q").input_value() == "a/b?", "where somebody types, a key is a character"
        page.goto("/operations")
        page.keyboard.press("?")
        page.get_by_role("heading", name="Keys").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("heading", name="Keys").wait_for(state="hidden")
        page.keyboard.press("/")
        page.wait_for_url("**/#q")
        page.wait_for_function(f"() => {FOCUSED} === 'q'")


def test_a_key_works_before_the_page_is_painted_without_the_closed_dialog(browser: "Browser", local: "Local") -> None:
    press = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }))"
    with looking(browser, local) as page:
        page.goto("/")
        page.keyboard.press("?")
        page.evaluate(press)
        assert page.evaluate(FOCUSED) == "keys-used", "in an open dialog, a key does nothing"
        focused = page.evaluate(f"() => {{ document.getElementById('keys').close(); {press}; return {FOCUSED}; }}")
        assert focused == "q"


def test_the_keys_can_be_turned_off(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/")
        page.get_by_role("button", name="Keys").click()
        page.get_by_label("Use these keys").uncheck()
        page.get_by_role("button", name="Close").click()
        page.reload()
        page.keyboard.press("/")
        assert page.evaluate(FOCUSED) == ""
        page.get_by_role("button", name="Keys").click()
        assert not page.get_by_label("Use these keys").is_checked()


def test_a_chart_is_one_stop_and_leads_to_the_jobs_behind_it(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"])
    with looking(browser, local) as page:
        page.goto(f"/jobs/{job_id}")
        until_ended(page, "completed")
        page.goto("/styleguide")
        points = page.locator("#throughput a.point")
        assert points.count() > 40
        assert page.locator("#throughput a.point[tabindex='0']").count() == 1
        points.last.focus()
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(FOCUSED) == points.nth(points.count() - 2).get_attribute("id")
        page.keyboard.press("Home")
        assert page.evaluate(FOCUSED) == points.first.get_attribute("id")
        page.goto("/operations")
        point = page.locator("#throughput a.point").last
        point.focus()
        label = point.get_attribute("aria-label")
        assert label
        assert "completed" in label
        refreshed(page)
        assert page.locator("#throughput a.point[tabindex='0']").count() == 1
        page.locator("#throughput a.point").last.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/operations/units?**")
        page.locator(f"a[title='{job_id}']").first.wait_for()


def test_without_a_script_live_pages_are_loaded_again(browser: "Browser", local: "Local") -> None:
    with looking(browser, local, java_script_enabled=False) as page:
        for path, live in (("/", True), ("/operations", True), ("/submit", False)):
            page.goto(path)
            assert page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == live, path
        log_in(page, local.admin_token)
        page.locator("#pick-page").wait_for()
        assert page.locator("meta[http-equiv=refresh]").count() == 0, "to load it again would take the ticks away"
