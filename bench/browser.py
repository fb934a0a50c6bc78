"""Measures the pages in a real browser: their weight, their first paint, and a large job that fills in an open page.

    python -m bench.browser [--chromium FILE]

It starts a stack of its own with simulated providers, and prints tables. The main thread's work for an update counts
with its share of layout and paint: a task of 50 ms or more is one that the browser itself calls long
(https://www.w3.org/TR/longtasks-1/).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from runner_cli.local import Local, running_stack
from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.acceptance.browsing import ARGUMENTS, call, looking
from tests.integration.api_client import unsigned

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REGIONS = ("US", "EU", "ASIA")  # those that have workers
MODELS = tuple(f"model-{number}" for number in range(8))
QUESTIONS = [f"Question {number}: what is the thing number {number}, and why is it so?" for number in range(50)]
SECONDS = 300.0  # for the job to end
ENDED = ", ".join(f"h1 .state.{state}" for state in ("completed", "partial", "failed"))
PAINTS = 5  # loads of a page, each in a new context; the median counts

OBSERVE = """
window.long = []; window.updates = 0;
document.addEventListener("live:changed", () => { window.updates += 1; });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.long.push(entry.duration);
}).observe({ type: "longtask" });
"""
WEIGHTS = """() => {
  const all = [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const sum = all.reduce((sum, one) => sum + one.encodedBodySize, 0);
  return [all[0].encodedBodySize, all[0].decodedBodySize, sum, paint.startTime];
}"""


@dataclass(frozen=True)
class Live:
    """A job that filled in an open page: updates, and what they cost the browser's main thread, in milliseconds."""

    calls: int
    seconds: float
    updates: int
    mean_ms: float  # all of the main thread's work, spread over the updates
    long_tasks: int
    longest_ms: float
    kilobytes: float  # compressed, of the median refresh
    nodes: int


@dataclass(frozen=True)
class Weight:
    """What a page weighs and when it is painted first, with an empty cache."""

    path: str
    page_kb: float  # compressed
    plain_kb: float
    all_kb: float  # with style sheets, scripts and icons, compressed
    paint_ms: float


def main(argv: list[str] | None = None) -> int:
    """Measure, and print the tables. Return 0."""
    parser = argparse.ArgumentParser("python -m bench.browser", description="Measures the pages in a real browser.")
    parser.add_argument("--chromium", default="/usr/bin/chromium", metavar="FILE", help="the browser [%(default)s]")
    arguments = parser.parse_args(argv)
    if not Path(arguments.chromium).exists():
        parser.error(
            f"{arguments.chromium} does not exist; install Debian's package chromium, or name a browser by --chromium"
        )
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="beacon-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded server's user reaches the home
        home = Path(folder) / "home"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "REDIS_URL"))}
        env |= {"REGIONS_FILE": str(regions_file(Path(folder))), "ALLOW_SANDBOX": "1"}
        with running_stack(home, env) as local, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=arguments.chromium, args=ARGUMENTS)
            found, job_id = live(browser, local)
            print(live_table(found), flush=True)
            print(weight_table([weight(browser, local, path) for path in paths(local, job_id)]), flush=True)
            browser.close()
    return 0


def regions_file(folder: Path) -> Path:
    """Write a regions file whose models answer after half a second to one and a half."""
    parts = [f'default_model = "{MODELS[0]}"\n[questions]\nfirst = "{QUESTIONS[0]}"\n']
    for region in REGIONS:
        parts.append(f"[regions.{region}]\n")
        for number, model in enumerate(MODELS):
            provider = f'id = "{model}-{region.lower()}"\nregion = "{region}"\nkind = "sandbox"\nmax_concurrency = 2\n'
            options = f"models = {{ {model} = {model!r} }}\noptions = {{ delay_seconds = {0.5 + 0.15 * number:.2f} }}\n"
            parts.append(f"[[providers]]\n{provider}{options}")
    path = folder / "regions.toml"
    path.write_text("\n".join(parts))
    return path


def live(browser: "Browser", local: Local) -> tuple[Live, str]:
    """Open a job's page before its first answer, and watch until the job has ended. Return the measure and the id."""
    spec = unsigned(models=list(MODELS), questions=QUESTIONS)
    spec["constraints"] = {"regions": list(REGIONS), "min_regions": 1}
    call(local, "/api/v1/jobs", sign(spec, PrivateKey.load(local.signing_key)))
    with looking(browser, local, viewport={"width": 1440, "height": 900}) as page:
        page.add_init_script(OBSERVE)
        page.goto(f"/jobs/{spec['id']}")
        cost = MainThread(page)
        page.evaluate("window.long = []; window.updates = 0; performance.setResourceTimingBufferSize(10000)")
        began = time.monotonic()
        wait_for_end(local, str(spec["id"]))
        page.wait_for_selector(ENDED)
        seconds = time.monotonic() - began
        long, updates = page.evaluate("[window.long, window.updates]")
        sizes = page.evaluate(
            "performance.getEntriesByType('resource').filter((e) => e.initiatorType === 'xmlhttprequest')"
            ".map((e) => e.encodedBodySize).filter((size) => size > 0)"
        )
        nodes = page.evaluate("document.querySelectorAll('*').length")
        spent = 1000 * cost.seconds() / max(1, updates)
    calls = len(QUESTIONS) * len(MODELS) * len(REGIONS)
    found = Live(calls, seconds, updates, spent, len(long), max(long, default=0.0), median(sizes) / 1000, nodes)
    return found, str(spec["id"])


def wait_for_end(local: Local, job_id: str) -> None:
    """Ask the API until the job has ended. A selector that the page waits for would be work of its main thread."""
    until = time.monotonic() + SECONDS
    while call(local, f"/api/v1/jobs/{job_id}")["status"] in ("queued", "running"):
        if time.monotonic() > until:
            raise TimeoutError(f"{job_id} has not ended after {SECONDS:.0f} s")
        time.sleep(0.25)


class MainThread:
    """Counts the seconds that the main thread of a page has worked since this object was made."""

    def __init__(self, page: "Page") -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")
        self._began = self._worked()

    def seconds(self) -> float:
        """Return the seconds so far."""
        return self._worked() - self._began

    def _worked(self) -> float:
        told = {one["name"]: one["value"] for one in self._session.send("Performance.getMetrics")["metrics"]}
        return float(told["TaskDuration"] - told["DevToolsCommandDuration"])  # without what this benchmark asks


def paths(local: Local, job_id: str) -> Iterator[str]:
    """Yield the address of each page, with the large job where a page shows one."""
    row = call(local, f"/api/v1/jobs/{job_id}/executions/all")["executions"][0]["id"]
    yield from ("/", f"/jobs/{job_id}", f"/jobs/{job_id}/compare", f"/executions/{row}", "/operations")
    yield from ("/submit", f"/submit?again={job_id}", "/login", "/docs", "/styleguide")


def weight(browser: "Browser", local: Local, path: str) -> Weight:
    """Load a page several times, each time with an empty cache. Return its weight and the median first paint."""
    found = []
    for _ in range(PAINTS):
        with looking(browser, local, viewport={"width": 1440, "height": 900}) as page:
            page.goto(path)
            page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
            found.append(page.evaluate(WEIGHTS))
    packed, plain, everything, _ = found[0]
    return Weight(path, packed / 1000, plain / 1000, everything / 1000, median(one[3] for one in found))


def live_table(one: Live) -> str:
    """Return the table of the job that filled in an open page."""
    heads = ["calls", "seconds", "updates", "main thread, ms an update", "tasks of 50 ms or more"]
    numbers = f"{one.calls:,} | {one.seconds:.0f} | {one.updates} | {one.mean_ms:.0f} | {one.long_tasks}"
    return (
        f"| {' | '.join(heads)} | longest, ms | refresh, kB | nodes |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        f"| {numbers} | {one.longest_ms:.0f} | {one.kilobytes:.1f} | {one.nodes:,} |\n"
    )


def weight_table(weights: list[Weight]) -> str:
    """Return the table of the pages' weights."""
    lines = ["| page | kB compressed | kB plain | kB with all that it loads | first paint, ms |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for one in weights:
        numbers = f"{one.page_kb:.1f} | {one.plain_kb:.1f} | {one.all_kb:.1f} | {one.paint_ms:.0f}"
        lines.append(f"| {one.path} | {numbers} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
