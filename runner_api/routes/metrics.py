"""/metrics: the numbers of all worker processes of this server."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import cast

from flask import Blueprint, Flask, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest

from runner_core import telemetry
from runner_core.shared_numbers import SharedNumbers

NAME = "beacon-metrics"
blueprint = Blueprint("metrics", __name__)


class SummedCollector:
    """Collects the API's metrics: each number is the sum over the server's processes."""

    def __init__(self, numbers: SharedNumbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, also those without a number yet."""
        families = {family.name: family for metric in telemetry.MEASURED["api"] for family in metric.describe()}
        buckets: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for key, value in self._numbers.sums().items():
            name, sample, labels = json.loads(key)
            if name not in families:
                continue
            if bound := labels.pop("le", None):
                buckets[name][json.dumps(labels)][bound] = value
            else:
                families[name].add_sample(sample, labels, value)
        for name, series in buckets.items():
            for labels, counts in series.items():
                _add_buckets(families[name], json.loads(labels), counts)
        yield from families.values()


def _add_buckets(family: Metric, labels: dict[str, str], counts: dict[str, float]) -> None:
    """Add the samples of a histogram. In the text format a bucket includes all smaller ones."""
    total = 0.0
    for bound in sorted(counts, key=float):
        total += counts[bound]
        family.add_sample(f"{family.name}_bucket", labels | {"le": bound}, total)
    family.add_sample(f"{family.name}_count", labels, total)


def install(app: Flask, numbers: SharedNumbers | None = None) -> None:
    """Have `app` serve this process's numbers, or the sums over all processes that share `numbers`."""
    if numbers is None:
        registry = telemetry.registry("api")
    else:
        registry = CollectorRegistry()
        registry.register(SummedCollector(numbers))
    app.extensions[NAME] = registry


@blueprint.get("/metrics")
def metrics() -> Response:
    """Show the metrics in Prometheus' text format."""
    registry = cast(CollectorRegistry, current_app.extensions[NAME])
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
