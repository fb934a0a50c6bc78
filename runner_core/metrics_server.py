"""Serves the metrics of a publisher, a worker or an analyst at /metrics."""

import os

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, start_http_server

from runner_core.errors import ConfigError
from runner_core.telemetry import registry

SCRAPE_SECONDS = 10  # a client that is silent for longer is disconnected


def serve_metrics(process: str, host: str, port: int) -> None:
    """Serve /metrics of this kind of process on `host`:`port` from a thread of its own; port 0 means none.

    Raises ConfigError if the port can't be used.
    """
    if not port:
        return
    own = registry(process)
    ProcessCollector(registry=own)
    PlatformCollector(registry=own)
    GCCollector(registry=own)
    try:
        server, _ = start_http_server(port, host, own)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(
            [
                f"METRICS_PORT {port} of {host} can't be used ({reason}): set METRICS_PORT to another "
                "port, or to 0 for no metrics"
            ]
        ) from None
    server.RequestHandlerClass.timeout = SCRAPE_SECONDS  # type: ignore[attr-defined]  # of socketserver's stream handlers
