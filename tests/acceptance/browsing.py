"""A real browser for the tests: pages whose console must stay quiet, and the jobs and providers that they show."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.integration.api_client import unsigned

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from runner_cli.local import Local

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
    "western": {"US": "", "EU": ""},
    "endless": {"US": "delay_seconds = 0.2", "EU": "hang = true", "ASIA": "hang = true"},
}


def regions_file(folder: Path) -> Path:
    parts = [HEAD]
    for region in ("US", "EU", "ASIA"):
        parts.append(f'[regions.{region}]\nsystem_prompt = "You answer readers in {region}, briefly."\n')
        for model, options in MODELS.items():
            if region not in options:
                continue
            provider = f'id = "{model}-{region.lower()}"\nregion = "{region}"\nkind = "sandbox"\nmax_concurrency = 2'
            table = f'models = {{ {model} = "simulated" }}\noptions = {{ {options[region]} }}'
            parts.append(f"[[providers]]\n{provider}\n{table}\n")
    path = folder / "regions.toml"
    path.write_text("\n".join(parts))
    path.chmod(0o644)
    return path


@contextmanager
def looking(browser: "Browser", local: "Local", refused: tuple[str, ...] = (), **options: Any) -> Iterator["Page"]:
    """A page in a context of its own; afterwards its console must have been quiet, and only `refused` refused."""
    context: BrowserContext = browser.new_context(base_url=local.api_url, **{**LOOKS["light"], **options})
    page = context.new_page()
    page.set_default_timeout(60_000)  # the processes may still be importing
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
    page.get_by_role("button", name="Log out").wait_for()


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
