"""Read the processes' /metrics before and after the canary, and compute error rates."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from runner_cli.exits import CommandError, UsageError
from runner_core.redaction import described

SECONDS = 10.0
Counts = dict[str, float]
# Each rate: its errors among its total.
RATES = {
    "writes": ("db_write_errors_total", "db_write_latency_ms_count"),
    "pushes": ("outbox_publish_errors_total", "outbox_published_total"),
    "requests": ("http_5xx", "http_requests_total"),
}


def read(urls: Iterable[str]) -> dict[str, Counts]:
    """Return the counters of each process by its URL. Raises CommandError when one can't be read."""
    return {url: _counts(url) for url in urls}


def rates(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> dict[str, float]:
    """Return each error rate between the two readings, over all processes together."""
    passed: Counts = {}
    for url, counts in after.items():
        for name, value in counts.items():
            earlier = before.get(url, {}).get(name, 0.0)
            # A counter that fell belongs to a process that started anew.
            passed[name] = passed.get(name, 0.0) + (value - earlier if value >= earlier else value)
    return {
        rate: passed.get(errors, 0.0) / max(passed.get(total, 0.0), passed.get(errors, 0.0), 1.0)
        for rate, (errors, total) in RATES.items()
    }


def urls_of(given: Iterable[str]) -> list[str]:
    """URLs as they are; a file is Prometheus' file_sd format, like targets.json of `beacon up`. Raises UsageError."""
    found: list[str] = []
    for one in given:
        if one.startswith(("http://", "https://")):
            found.append(one)
            continue
        try:
            groups = json.loads(Path(one).read_bytes())  # bytes: it finds out the encoding, a byte order mark too
            found += [f"http://{target}/metrics" for group in groups for target in group["targets"]]
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{one} is neither a URL nor a file with Prometheus targets") from None
    return list(dict.fromkeys(found))


def _shown(url: str) -> str:
    """The URL without a user and a password."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _counts(url: str) -> Counts:
    try:
        answer = httpx2.get(url, timeout=SECONDS, trust_env=False)
        answer.raise_for_status()
        families = list(text_string_to_metric_families(answer.text))
    except httpx2.HTTPStatusError as error:
        raise CommandError(f"{_shown(url)} can't be read: it answers {error.response.status_code}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise CommandError(f"{_shown(url)} can't be read: {described(error)}") from None
    found: Counts = {}
    wanted = {name for pair in RATES.values() for name in pair}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name in wanted:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
        if sample.name == "http_requests_total" and sample.labels.get("status", "").startswith("5"):
            found["http_5xx"] = found.get("http_5xx", 0.0) + sample.value
    return found
