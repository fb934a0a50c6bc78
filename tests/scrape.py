"""What the processes of a running stack tell: their metrics over HTTP, their logs from the files below the home."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from runner_cli.local import Local
from tests.jobs import until

# The stack is on this machine: no proxy of the environment has a say.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Sample:
    """One line of a page."""

    name: str
    labels: Mapping[str, str]
    value: float


def pages(local: Local) -> dict[str, str]:
    """Every process's /metrics page by the process's name, where Prometheus finds them: in targets.json.

    A process that is still starting is waited for: the stack is ready as soon as its API is."""
    targets = json.loads((local.home / "targets.json").read_text())
    return {t["labels"]["process"]: _page(f"http://{t['targets'][0]}/metrics") for t in targets}


def _page(url: str) -> str:
    def look() -> str:
        try:
            with _opener.open(url, timeout=10) as page:
                return str(page.read().decode())
        except urllib.error.URLError:
            return ""

    return until(look)


def samples(page: str) -> Iterator[Sample]:
    """Every sample of a page, in its order."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, float(sample.value))


def total(page: str, name: str, **labels: str) -> float:
    """The samples of this name with these labels, added up; 0 when there is none."""
    return sum(s.value for s in samples(page) if s.name == name and labels.items() <= s.labels.items())


def logs(local: Local) -> dict[str, str]:
    """What every process has written so far, by its name."""
    return {path.stem: path.read_text("utf-8", "replace") for path in sorted((local.home / "log").glob("*.log"))}
