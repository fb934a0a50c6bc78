"""The page that describes the API, in a real browser: blocks that open, languages, and GETs that are sent."""

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browsing import LOOKS, call, looking, shoot, submit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]


@pytest.mark.parametrize("look", ["dark", "phone"])
def test_a_get_is_sent_from_the_page(look: str, browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"], ["math_basic"])
    assert call(local, f"/api/v1/jobs/{job_id}?after=0&wait=20")["id"] == job_id
    while not call(local, "/api/v1/executions?limit=1")["executions"]:
        pass
    with looking(browser, local, refused=("/admin/queues",), **LOOKS[look]) as page:
        page.goto("/docs#get_api_v1_jobs_job_id")
        block = page.locator("#get_api_v1_jobs_job_id")
        block.get_by_label("Send it from here").and_(page.locator("[value*='capitals-1']")).wait_for()
        page.wait_for_function(
            "id => document.getElementById('get_api_v1_jobs_job_id-path').value.includes(id)", arg=job_id
        )
        block.get_by_role("button", name="Send").click()
        block.get_by_text(f'"id": "{job_id}"').wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shoot(page, f"docs-{look}")
        page.goto("/docs#get_admin_queues")
        block = page.locator("#get_admin_queues")
        block.get_by_role("button", name="Send").click()
        block.get_by_text("401 application/problem+json").wait_for()
        block.get_by_label("Token").fill(local.admin_token)
        block.get_by_role("button", name="Send").click()
        block.get_by_text("200 application/json, ").wait_for()
        block.get_by_label("Send it from here").fill("//evil.example/")
        block.get_by_role("button", name="Send").click()
        block.get_by_text("begins with one slash").wait_for()


def test_a_language_is_chosen_for_the_whole_page(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/docs#get_api_v1_jobs")
        block = page.locator("#get_api_v1_jobs")
        assert local.api_url in block.locator("pre").first.inner_text()
        block.get_by_text("Python", exact=True).click()
        block.get_by_text("import urllib.request").wait_for()
        assert page.locator("[data-language=Python][open]").count() == page.locator("[data-language=Python]").count()
        assert page.locator("[data-language=curl][open]").count() == 0
        page.get_by_role("link", name="Words").click()
        page.get_by_text("Submit again", exact=False).first.wait_for(state="attached")
