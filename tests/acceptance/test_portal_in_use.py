"""The portal in a user's hands: selecting, copying, following links, choosing a key, narrow screens, paper."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.acceptance.browsing import WIDE, call, looking, refreshed, regions_file, submit, until_ended
from tests.integration.api_client import unsigned

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]
PAUSED = re.compile("^paused")
SELECTED = "() => getSelection().toString()"
IN_SIGHT = """
id => {
  const at = document.getElementById(id).getBoundingClientRect();
  return at.top >= 0 && at.bottom <= innerHeight;
}
"""
ABOVE = """
selector => {
  const at = document.querySelector(selector)?.getBoundingClientRect();
  return at && at.top >= 0 && at.top < innerHeight / 2;
}
"""
CUT = """
() => [...document.querySelectorAll("main .table:not(:has(.heat)), main td, main code")]
  .filter((at) => at.scrollWidth > at.clientWidth + 1 && getComputedStyle(at).display !== "inline")
  .map((at) => `${at.tagName} ${at.id} ${at.textContent.trim().slice(0, 40)}: ${at.scrollWidth} > ${at.clientWidth}`)
"""


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


def test_a_refresh_waits_while_text_is_selected(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["endless"])
    with looking(browser, local) as page:
        for path, selector in ((f"/jobs/{job_id}", ".which-job .id"), ("/", f"#job-{job_id}"), ("/operations", "#q")):
            page.goto(path)
            refreshed(page)
            page.locator(selector).select_text()
            page.evaluate("document.getElementById('live').classList.add('seen')")  # a refresh would take this away
            chosen = page.evaluate(SELECTED)
            assert chosen
            page.get_by_text(PAUSED).wait_for()  # a refresh was due
            assert page.evaluate(SELECTED) == chosen
            assert page.locator("#live.seen").count() == 1
            page.evaluate("getSelection().removeAllRanges()")
            page.wait_for_selector("#live:not(.seen)")  # at once, not only with the next one
            page.locator("#pill").wait_for(state="hidden")


def test_an_answer_on_its_way_finds_the_selection(browser: "Browser", local: "Local") -> None:
    """Somebody selects after a refresh was asked for and before it came."""
    job_id = submit(local, ["endless"])
    with looking(browser, local) as page:
        page.goto("/")
        page.locator(f"#job-{job_id}").wait_for()
        held: list[Route] = []
        page.route(re.compile(r":\d+/$"), lambda route: held.append(route))
        while not held:
            page.wait_for_timeout(50)
        page.evaluate("document.getElementById('live').classList.add('seen')")  # no other refresh is on its way
        call(local, f"/api/v1/jobs/{job_id}/cancel", {})  # so that the answer is another page
        page.locator(f"tr:has(#job-{job_id}) .id").select_text()
        for route in held:
            route.continue_()
        page.unroute_all()
        page.get_by_text(PAUSED).wait_for()
        assert page.locator("#live.seen").count() == 1
        assert page.evaluate(SELECTED).strip() == job_id[:12]


def test_ids_and_commands_are_copied_by_a_button(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"])
    with looking(browser, local) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"/jobs/{job_id}")
        until_ended(page, "completed")
        page.get_by_role("button", name="Copy the job's id").click()
        page.get_by_text("· copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == job_id
        page.goto("/")
        page.locator(f"#copy-{job_id}").click()
        page.get_by_text("· copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == job_id
        page.locator(f"#job-{job_id}").click()
        page.locator(".grid a.state").first.click()
        page.get_by_role("button", name="Copy the commands").click()
        page.get_by_text("· copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("pre.command").inner_text()
        # Pages that are not on https have no such interface.
        page.goto("/")
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page.locator(f"#copy-{job_id}").click()
        page.get_by_text("· copied").wait_for()
    with looking(browser, local, java_script_enabled=False) as page:
        page.goto(f"/jobs/{job_id}")
        assert page.locator(".copy").count() > 2
        assert not [at for at in page.locator(".copy").all() if at.is_visible()]


def test_links_lead_to_what_they_name(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"])
    with looking(browser, local, viewport={"width": 1280, "height": 420}) as page:
        page.goto(f"/jobs/{job_id}")
        until_ended(page, "completed")
        page.get_by_role("link", name="completed: steady in EU, greatest_invention").click()
        page.wait_for_url(re.compile(r"/executions/\d+#call-\d+$"))
        page.wait_for_function(ABOVE, arg="h2:target")
        assert "greatest_invention" in page.locator("h2:target").inner_text()
        page.goto(f"/jobs/{job_id}/compare")
        page.wait_for_selector(".heat")  # the page waits for the analyst
        page.locator(".heat a").last.click()
        page.wait_for_url("**#side")
        page.wait_for_function(IN_SIGHT, arg="side")  # the map stays, and the answers come below it
        page.get_by_label("Compare with").select_option("ASIA")
        page.wait_for_url("**base=ASIA#side")
        page.wait_for_function(ABOVE, arg="#side")
        page.goto("/docs#post_api_v1_jobs")
        page.wait_for_selector("#post_api_v1_jobs[open]")
        page.evaluate("location.hash = 'schema-Job'")
        page.wait_for_selector("#schema-Job[open]")


def test_a_private_key_is_never_in_the_page(browser: "Browser", local: "Local") -> None:
    pem = Path(local.signing_key).read_text()
    secret = pem.splitlines()[1]
    key_id = PrivateKey.load(local.signing_key).kid
    with looking(browser, local) as page:
        page.goto("/submit")
        page.locator("#key-file").set_input_files({"name": "x.pem", "mimeType": "text/plain", "buffer": b"no key"})
        page.get_by_text("This is not an Ed25519 private key in PEM").wait_for()
        page.locator("#key-file").set_input_files(local.signing_key)
        page.get_by_text(f"Signs with the key {key_id}.").wait_for()
        assert page.locator("#problem").inner_text() == ""
        page.locator("#key-file").set_input_files([])
        page.locator("#key-held").wait_for(state="hidden")
        values = "() => [...document.querySelectorAll('input, textarea')].map((at) => at.value).join()"
        assert secret not in page.evaluate(values) + page.content()
        assert "PRIVATE KEY" not in page.evaluate(values)


def test_submit_offers_what_the_api_accepts(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        page.goto("/submit")
        page.get_by_label("math_basic").check()
        page.get_by_text("3 calls in 3 regions.").wait_for()
        page.get_by_label("steady").uncheck()
        page.get_by_label("western").check()
        page.get_by_text("2 calls in 2 regions.").wait_for()
        assert page.locator("[name=region]:disabled").evaluate_all("boxes => boxes.map((box) => box.value)") == ["ASIA"]
        assert page.get_by_label("Regions that must succeed").get_attribute("max") == "2"
        page.get_by_label("steady").check()  # what was chosen before is chosen again
        page.get_by_text("5 calls in 3 regions.").wait_for()
        page.locator("#key-file").set_input_files(local.signing_key)
        page.get_by_text("Signs with the key").wait_for()
        page.get_by_role("button", name="Sign and submit").click()
        page.wait_for_url("**/jobs/web-*")
        until_ended(page, "completed")
        assert page.locator(".grid a.state.completed").count() == 5
        assert page.locator(".grid td.missing[data-label=ASIA]").count() == 1


def test_nothing_is_cut_on_narrow_screens(browser: "Browser", local: "Local") -> None:
    wide, done = submit(local, [WIDE]), submit(local, ["steady", "broken"])
    chosen = unsigned(id="nightly-2026-11-26T00:00:00-europe-and-asia", models=["steady"], questions=["math_basic"])
    call(local, "/api/v1/jobs", sign(chosen, PrivateKey.load(local.signing_key)))
    with looking(browser, local) as page:
        page.goto(f"/jobs/{done}")
        until_ended(page, "partial")
    execution = call(local, f"/api/v1/jobs/{done}/executions/all")["executions"][0]["id"]
    paths = ["/", f"/jobs/{wide}", f"/jobs/{done}", f"/jobs/{done}/compare", f"/executions/{execution}"]
    for width in (320, 390, 768, 899, 900, 1280):
        with looking(browser, local, viewport={"width": width, "height": 800}) as page:
            for path in [*paths, "/operations", "/submit", "/docs", "/login"]:
                page.goto(path)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, path)
                cut = page.evaluate(CUT)
                assert cut == [], (width, path)
            if width == 1280:
                page.goto("/")
                assert page.locator(f"tr:has(#job-{done})").evaluate("row => row.offsetHeight") < 45, "one line"


def test_forced_colours_and_paper(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["steady"])
    with looking(browser, local, forced_colors="active") as page:
        page.goto("/")
        borders = "links => links.map((link) => parseFloat(getComputedStyle(link).borderBottomWidth) > 0)"
        assert page.locator(".top nav a").evaluate_all(borders) == [True, False, False, False]
    with looking(browser, local, color_scheme="dark") as page:
        page.goto(f"/jobs/{job_id}")
        until_ended(page, "completed")
        page.emulate_media(media="print")
        assert not page.locator(".top").is_visible()
        assert not page.get_by_role("link", name="Compare").is_visible()
        assert page.locator("#timeline-region").evaluate("at => at.scrollHeight <= at.clientHeight")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(255, 255, 255)", "no dark paper"
