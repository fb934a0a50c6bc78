"""The portal in a real browser, over the Procfile's processes. Screenshots of every page are kept in artefacts/."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.acceptance.browsing import LOOKS, WIDE, call, log_in, looking, refreshed, shoot, submit, until_ended
from tests.integration.api_client import unsigned

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

# At one look: of a region that runs on, an answer is there and another call runs.
FILLING = """
() => [...document.querySelectorAll(".heads li:has(.running) b")].some(({ textContent: region }) =>
  ["a.state.completed", ".call.running"].every((at) => document.querySelector(`td[data-label=${region}] ${at}`)))
"""
# Every refresh brings the attribute back.
PUSHED_ONLY = """
() => {
  const still = () => { document.getElementById("live").dataset.every = 0; };
  document.addEventListener("live:changed", still);
  still();
}
"""


# Playwright can't hide a page; and it keeps what streams the page opens.
WATCH_STREAMS = """
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(...given) { super(...given); window.streams.push(this); }
};
"""
LOOK_AWAY = """
(away) => {
  Object.defineProperty(document, "hidden", { value: away, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
STREAM_STATES = "() => window.streams.map((stream) => stream.readyState)"  # 0 connecting, 1 open, 2 closed


def test_submit_watch_and_compare(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(f"{request.url} {request.post_data}"))
        page.goto("/submit")
        page.get_by_label("math_basic").check()
        page.get_by_label("steady").uncheck()
        page.get_by_label("slow").check()
        page.get_by_label("identity_basic").check()
        page.get_by_label("Other questions, one per line").fill("What is <b>bold</b> & \u2028 1e21 😀?")
        page.get_by_text("9 calls in 3 regions.").first.wait_for()
        page.get_by_role("button", name="Sign and submit").click()
        page.get_by_text("A private key is needed.").first.wait_for()
        page.locator("#key-file").set_input_files(local.signing_key)
        page.get_by_text("Signs with the key").wait_for()
        page.get_by_role("button", name="Sign and submit").click()
        page.wait_for_url("**/jobs/web-*")
        page.get_by_text("The job was accepted.").first.wait_for()
        assert any('"signature"' in one for one in sent)
        secret = Path(local.signing_key).read_text().splitlines()[1]
        assert not [one for one in sent if secret in one or "PRIVATE" in one], "the key stays in the browser"
        assert "What is <b>bold</b>" in page.locator(".question").nth(2).inner_text()
        # From here on nobody reloads the page and nothing polls: what comes is pushed.
        page.evaluate(PUSHED_ONLY)
        page.evaluate("window.notReloaded = true")
        # Two of three calls run side by side: their answers are seen while the region runs on and no event tells of it.
        page.wait_for_function(FILLING)
        shoot(page, "flow-filling")
        until_ended(page, "completed")
        assert page.evaluate("window.notReloaded") is True
        assert page.locator(".grid a.state.completed").count() == 9
        page.get_by_text("verified").first.wait_for()
        page.get_by_role("link", name="Compare").click()
        page.wait_for_url("**/compare")
        page.get_by_label("Compare with").select_option("EU")
        page.wait_for_url("**base=EU**")
        page.locator(".side ins").first.wait_for()
        assert re.search(r"[0-9]+ (words|characters)", page.locator(".side").first.inner_text())
        assert re.search(r"[0-9] m?s\b", page.locator(".side").first.inner_text()), "its latency"
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV", exact=True).click()
        assert Path(download.value.path()).read_text().count("\n") >= 10


def test_a_hidden_page_holds_no_connection(browser: "Browser", local: "Local") -> None:
    """Six tabs with open jobs would otherwise leave a browser no connection for the seventh."""
    job_id = submit(local, ["endless"])
    with looking(browser, local) as page:
        page.add_init_script(WATCH_STREAMS)
        page.goto(f"/jobs/{job_id}")
        page.get_by_text("· live").wait_for()
        assert page.evaluate(STREAM_STATES) == [1]
        page.evaluate(LOOK_AWAY, True)
        assert page.evaluate(STREAM_STATES) == [2]
        call(local, f"/api/v1/jobs/{job_id}/cancel", {})
        page.evaluate(LOOK_AWAY, False)
        until_ended(page, "cancelled")
        page.locator("#liveness:empty").wait_for(state="attached")
        assert page.evaluate(STREAM_STATES) == [2, 2], "opened again, and closed at the job's end"


def test_a_refresh_of_a_page_that_is_the_same_is_sent_nothing(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        told: list[int] = []  # of the page's own refreshes, too
        page.on("response", lambda it: told.append(it.status) if "hx-request" in it.request.headers else None)
        page.goto("/?q=nobody-has-this-id")
        for _ in range(3):
            with page.expect_response(lambda answer: "hx-request" in answer.request.headers):
                page.evaluate("htmx.trigger('#live', 'refresh')")
        page.get_by_text("No job matches.").wait_for()
    assert told[0] == 200
    assert set(told[1:]) == {204}


def test_login_cancel_and_retry(browser: "Browser", local: "Local") -> None:
    endless, failed = submit(local, ["endless"]), submit(local, ["half"])
    with looking(browser, local, refused=("/login",)) as page:
        page.goto(f"/jobs/{endless}")
        page.wait_for_selector(".call.running")
        page.get_by_role("link", name="Cancel").click()
        page.wait_for_url(re.compile(r"/login\?next="))
        page.get_by_label("Token").fill("not a token at all, but as long as one")
        page.get_by_role("button", name="Log in").click()
        assert page.get_by_role("alert").inner_text().strip() == "This token is not known here."
        page.get_by_label("Token").fill(local.admin_token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Cancel this job?").wait_for()
        shoot(page, "confirm-cancel")
        page.get_by_role("button", name="Cancel the job").click()
        until_ended(page, "cancelled")
        page.get_by_text("The job was cancelled.").first.wait_for()

        page.goto(f"/jobs/{failed}")
        until_ended(page, "partial")
        page.get_by_role("link", name="Retry half in ASIA, math_basic").click()
        page.get_by_role("button", name="Retry").click()
        page.wait_for_selector(".timeline >> text=Retry requested")
        until_ended(page, "partial")
        assert page.locator(".timeline >> text=ASIA").count() > 3
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("link", name="Log in").first.wait_for()


def test_without_javascript_and_by_keyboard(browser: "Browser", local: "Local") -> None:
    job_id = submit(local, ["broken"])
    with looking(browser, local, java_script_enabled=False) as page:
        log_in(page, local.admin_token)
        page.goto(f"/jobs/{job_id}")
        while page.locator("h1 .state.failed").count() == 0:
            page.reload()
        page.get_by_text("What went wrong").first.wait_for()
        page.get_by_role("link", name="Retry failed").click()
        page.get_by_role("button", name="Retry").click()
        page.get_by_text("The failed units run again.").first.wait_for()
        page.goto("/submit")
        page.get_by_text("This form signs in your browser").first.wait_for()
        pasted = sign(unsigned(models=["steady"], questions=["math_basic"]), PrivateKey.load(local.signing_key))
        page.get_by_text("Paste signed JSON").click()
        page.get_by_label("Signed job").fill(json.dumps(pasted, indent=1))
        page.get_by_role("button", name="Submit", exact=True).click()
        page.get_by_text("The job was accepted.").first.wait_for()
    with looking(browser, local) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        reached = set()
        for _ in range(25):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width != "0px"
        assert {"Jobs", "Operations", "Submit", "Log in", "q", "search", "filter-all", f"job-{job_id}"} <= reached
        page.locator("#filter-failed").focus()
        refreshed(page)
        assert page.evaluate("document.activeElement.id") == "filter-failed"


def test_every_page_in_every_state(browser: "Browser", local: "Local") -> None:
    jobs = {
        "completed": submit(local, ["steady", "refuser"]),
        "partial": submit(local, ["half"]),
        "failed": submit(local, ["broken"]),
        "cancelled": submit(local, ["steady", "endless"]),
    }
    with looking(browser, local) as page:
        for state in ("completed", "partial", "failed"):
            page.goto(f"/jobs/{jobs[state]}")
            until_ended(page, state)
        page.goto(f"/jobs/{jobs['cancelled']}")
        page.wait_for_selector("td[data-label=US] a.state.completed")
    call(local, f"/api/v1/jobs/{jobs['cancelled']}/cancel", {})
    jobs["running"] = submit(local, ["steady", "endless"])
    jobs["wide"] = submit(local, [WIDE], runs=3)
    rows = call(local, f"/api/v1/jobs/{jobs['completed']}/executions/all")["executions"]
    refused = next(row["id"] for row in rows if (row["output"] or {}).get("refused"))
    broken = call(local, f"/api/v1/jobs/{jobs['failed']}/executions/all")["executions"][0]["id"]
    pages = {f"job-{state}": f"/jobs/{job_id}" for state, job_id in jobs.items()} | {
        "jobs": "/",
        "jobs-empty": "/?status=queued",
        "compare": f"/jobs/{jobs['completed']}/compare?model=refuser&question=greatest_invention",
        "compare-running": f"/jobs/{jobs['running']}/compare?model=endless",
        "compare-wide": f"/jobs/{jobs['wide']}/compare",
        "execution": f"/executions/{refused}",
        "execution-failed": f"/executions/{broken}",
        "operations": "/operations",
        "submit": "/submit",
        "login": "/login",
        "missing": "/nowhere",
        "docs": "/docs",
    }
    for look, options in LOOKS.items():
        with looking(browser, local, refused=("/nowhere",), **options) as page:
            for name, path in pages.items():
                page.goto(path)
                if name == "job-running":
                    page.wait_for_selector("td[data-label=US] a.state.completed")
                if name == "job-wide":
                    fits = "region => region.scrollWidth <= region.clientWidth"
                    assert page.locator("#grid-region").evaluate(fits), "three runs are told below each other"
                if name == "job-completed":
                    told = page.locator("#grid-region").inner_text()
                    assert "refused" in told.lower()
                    assert "simulated" in told.lower()
                    assert re.search(r"[0-9] m?s\b", told), "each cell's latency"
                if name == "execution":
                    assert page.locator("#system + p.answer").inner_text().strip(), "the system prompt, as sent"
                if name == "job-partial":
                    page.locator("#retry-ASIA").click(trial=True)  # on a phone too: in sight, and nothing covers it
                shoot(page, f"{name}-{look}")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                    f"{name} is wider than {look}"
                )
                assert re.search("Beacon Runner", page.title())
