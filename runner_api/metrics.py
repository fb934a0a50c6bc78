"""/metrics of all the server's workers together, through prometheus_client's directory of shared files."""

import os
from collections.abc import Iterable

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

blueprint = Blueprint("metrics", __name__)


class Counts(MultiProcessCollector):
    """Counters and histograms only: gauges are read from the database and exported by the publishers."""

    def collect(self) -> Iterable[Metric]:
        """Every metric of every worker, added up."""
        merged: list[Metric] = super().collect()  # type: ignore[no-untyped-call]  # it ships no types
        return [metric for metric in merged if metric.type != "gauge"]


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus' text format."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        Counts(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
