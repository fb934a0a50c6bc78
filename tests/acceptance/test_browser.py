"""The portal in a real browser, over the Procfile's processes. Screenshots of every page are kept in artefacts/."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from runner_core.signing import PrivateKey, sign
from tests.integration.api_client import unsigned

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]
KEPT = Path(__file__).parents[2] / "artefacts"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}
HEAD = """\
default_model = "steady"
[questions]
math_basic = "What is 2+2?"
identity_basic = "Who are you?"
greatest_invention = "What is the most important invention in history?"
"""
WIDE = "a-model-whose-name-is-as-long-as-those-that-some-providers-give-theirs-0123456789"
# By model: what its provider does in each region.
MODELS: dict[str, dict[str, str]] = {
    "steady": {"US": "", "EU": "", "ASIA": ""},
    "refuser": {"US": "", "EU": "", "ASIA": 'refuse = ["greatest_invention"]'},
    "half": {"US": "", "EU": "", "ASIA": 'fail = "http_403"'},
    "broken": {"US": 'fail = "http_403"', "EU": 'fail = "http_404"', "ASIA": 'fail = "http_403"'},
    "slow": {"US": "delay_seconds = 2", "EU": "delay_seconds = 3", "ASIA": "delay_seconds = 4"},
    WIDE: {"US": "hang = true", "EU": "hang = true", "ASIA": "hang = true"},
    "endless": {"US": "delay_seconds = 0.2", "EU": "hang = true", "ASIA": "hang = true"},
}


# Every refresh brings a new #live.
PUSHED_ONLY = """
() => {
  const still = () => { document.getElementById("live").dataset.every = 0; };
  document.addEventListener("htmx:afterSwap", still);
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


def regions_file(folder: Path) -> Path:
    parts = [HEAD]
    for region in ("US", "EU", "ASIA"):
        parts.append(f'[regions.{region}]\nsystem_prompt = "You answer readers in {region}, briefly."\n')
        for model, options in MODELS.items():
            provider = f'id = "{model}-{region.lower()}"\nregion = "{region}"\nkind = "sandbox"\nmax_concurrency = 2'
            table = f'models = {{ {model} = "simulated" }}\noptions = {{ {options[region]} }}'
            parts.append(f"[[providers]]\n{provider}\n{table}\n")
    path = folder / "regions.toml"
    path.write_text("\n".join(parts))
    path.chmod(0o644)
    return path


@pytest.fixture
def local(stack: Callable[..., "Local"], home: Path) -> "Local":
    return stack(env={"REGIONS_FILE": str(regions_file(home))})


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield opened
        opened.close()


@contextmanager
def looking(browser: "Browser", local: "Local", refused: tuple[str, ...] = (), **options: Any) -> Iterator["Page"]:
    """A page in a context of its own; afterwards its console must have been quiet, and only `refused` refused."""
    context: BrowserContext = browser.new_context(base_url=local.api_url, **{**LOOKS["light"], **options})
    page = context.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    failed: set[str] = set()
    page.on("response", lambda r: failed.add(urlsplit(r.url).path) if r.status >= 400 else None)
    try:
        yield page
    finally:
        context.close()
    assert failed == set(refused)
    # The browser says it of each of them.
    assert [line for line in said if "responded with a status of 4" not in line] == []


def submit(
    local: "Local", models: list[str], questions: list[str] | None = None, runs: int = 1, **constraints: Any
) -> str:
    spec = unsigned(
        models=models,
        runs=runs,
        questions=questions or ["math_basic", "identity_basic", "greatest_invention"],
        constraints={"regions": ["US", "EU", "ASIA"], "min_regions": 1, **constraints},
    )
    signed = sign(spec, PrivateKey.load(local.signing_key))
    call(local, "/api/v1/jobs", signed)
    return str(spec["id"])


def call(local: "Local", path: str, body: dict[str, Any] | None = None) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {local.admin_token}"}
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(local.api_url + path, data, headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def log_in(page: "Page", token: str) -> None:
    page.goto("/login")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def until_ended(page: "Page", verdict: str) -> None:
    """Wait, without a reload, until the open job page says so."""
    page.wait_for_selector(f"h1 .state.{verdict}")


def refreshed(page: "Page") -> None:
    """Wait until htmx has put a new #live in the place of this one."""
    page.evaluate("document.getElementById('live').classList.add('seen')")
    page.wait_for_selector("#live:not(.seen)")


def shoot(page: "Page", name: str) -> None:
    KEPT.mkdir(exist_ok=True)
    page.screenshot(path=KEPT / f"{name}.png", full_page=True)


def test_submit_watch_and_compare(browser: "Browser", local: "Local") -> None:
    with looking(browser, local) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(f"{request.url} {request.post_data}"))
        page.goto("/submit")
        page.get_by_label("math_basic").check()
        page.get_by_label("steady").uncheck()
        page.get_by_label("slow").check()
        page.get_by_label("identity_basic").check()
        page.get_by_label("Others, one a line").fill("What is <b>bold</b> & \u2028 1e21 😀?")
        page.get_by_text("9 calls in 3 regions.").first.wait_for()
        page.get_by_role("button", name="Sign and submit").click()
        page.get_by_text("A private key is needed.").first.wait_for()
        page.locator("#key-file").set_input_files(local.signing_key)
        page.wait_for_function("document.getElementById('key').value.includes('PRIVATE')")
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
        page.wait_for_selector("td[data-label=US] a.state.completed")
        assert page.locator("thead th:has-text('US') .running, td[data-label=US] .call.running").count() == 2
        shoot(page, "flow-filling")
        until_ended(page, "completed")
        assert page.evaluate("window.notReloaded") is True
        assert page.locator(".grid a.state.completed").count() == 9
        page.get_by_text("verified").first.wait_for()
        page.get_by_role("link", name="Compare").click()
        page.wait_for_url("**/compare")
        page.get_by_label("Compare with").select_option("EU")
        page.wait_for_url("**base=EU**")
        assert page.locator(".side ins").count() > 0
        assert re.search(r"[0-9]+ (words|characters)", page.locator(".side").first.inner_text())
        assert re.search(r"[0-9] m?s\b", page.locator(".side").first.inner_text()), "its latency"
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
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
        page.goto("/?q=nobody-has-this-id")
        told = []
        for _ in range(3):
            with page.expect_response(lambda answer: "hx-request" in answer.request.headers) as refresh:
                page.evaluate("htmx.trigger('#live', 'refresh')")
            told.append(refresh.value.status)
        page.get_by_text("No job matches.").wait_for()
    assert told == [200, 204, 204]


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
        page.get_by_text("What failed was sent again.").first.wait_for()
        page.goto("/submit")
        page.get_by_text("This form signs in your browser").first.wait_for()
        pasted = sign(unsigned(models=["steady"], questions=["math_basic"]), PrivateKey.load(local.signing_key))
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
    wide = submit(local, [WIDE])
    with looking(browser, local, viewport={"width": 800, "height": 700}) as page:
        page.goto(f"/jobs/{wide}")
        page.locator("#grid-region").focus()
        page.evaluate("document.getElementById('grid-region').scrollLeft = 40")
        refreshed(page)
        assert page.evaluate("document.activeElement.id") == "grid-region"
        assert page.evaluate("document.getElementById('grid-region').scrollLeft") == 40


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
                    told = page.locator(".grid").inner_text()
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
