"""axe-core finds no violation on any page: in both schemes, on a phone, logged in and out, with every state shown."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.axe import violations
from tests.acceptance.browsing import LOOKS, WIDE, call, log_in, looking, regions_file, submit, until_ended

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(300)]

SCHEMES: dict[str, dict[str, Any]] = {
    **LOOKS,
    "phone in the dark": {**LOOKS["phone"], "color_scheme": "dark"},
    "forced colours": {**LOOKS["light"], "forced_colors": "active"},
}


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


@pytest.fixture(scope="module")
def jobs(browser: "Browser", local: "Local") -> dict[str, str]:
    """A job in each state, and one whose comparison has every part."""
    found = {
        "completed": submit(local, ["steady", "refuser"], runs=3),
        "partial": submit(local, ["half"]),
        "failed": submit(local, ["broken"]),
        "running": submit(local, ["steady", "endless"]),
        "wide": submit(local, [WIDE], runs=2),
    }
    with looking(browser, local) as page:
        for state in ("completed", "partial", "failed"):
            page.goto(f"/jobs/{found[state]}")
            until_ended(page, state)
        page.goto(f"/jobs/{found['completed']}")
        page.wait_for_selector(".finding .headline")
        page.goto(f"/jobs/{found['running']}")
        page.wait_for_selector("td[data-label=US] a.state.completed")
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_has_a_violation(browser: "Browser", local: "Local", jobs: dict[str, str], scheme: str) -> None:
    rows = call(local, f"/api/v1/jobs/{jobs['completed']}/executions/all")["executions"]
    broken = call(local, f"/api/v1/jobs/{jobs['failed']}/executions/all")["executions"][0]["id"]
    open_to_all = [
        "/",
        "/?status=failed",
        "/?q=nobody-has-this-id",
        "/?failures=1&since=7d",
        *(f"/jobs/{job_id}" for job_id in jobs.values()),
        *(f"/jobs/{jobs[state]}/compare" for state in ("completed", "partial", "failed", "running")),
        f"/jobs/{jobs['completed']}?view=status",
        f"/jobs/{jobs['completed']}/compare?order=job&show=different",
        *(f"/jobs/{jobs[state]}/report.html" for state in ("completed", "failed")),
        f"/executions/{rows[0]['id']}",
        f"/executions/{broken}",
        "/operations",
        "/operations?last=24h&by=provider",
        "/operations/units?at=2026-01-01T12:00Z&minutes=5",
        "/submit",
        f"/submit?again={jobs['completed']}",
        "/login",
        "/docs",
        "/styleguide",
        "/nowhere",
    ]
    asked = [f"/jobs/{jobs['running']}/cancel", f"/jobs/{jobs['failed']}/retry", f"/jobs/{jobs['completed']}/label"]
    with looking(browser, local, refused=("/nowhere",), **SCHEMES[scheme]) as page:
        found = {}
        for path in open_to_all:
            page.goto(path)
            found[path] = violations(page)
        log_in(page, local.admin_token)
        for path in [*asked, "/", "/operations"]:
            page.goto(path)
            found[path] = [*found.get(path, []), *violations(page)]
        page.keyboard.press("?")
        page.get_by_role("heading", name="Keys").wait_for()
        found["the list of keys"] = violations(page)
    assert {path: told for path, told in found.items() if told} == {}
