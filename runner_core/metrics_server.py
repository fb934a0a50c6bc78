"""Serves /metrics, /health/live and /health/ready of a publisher, a worker or an analyst."""

import os
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import orjson
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from runner_core.errors import ConfigError
from runner_core.loop_health import LoopHealth
from runner_core.telemetry import registry

SCRAPE_SECONDS = 10  # a client that is silent for longer is disconnected
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def serve_metrics(process: str, host: str, port: int, health: LoopHealth) -> None:
    """Serve this kind of process on `host`:`port` from a thread of its own; port 0 means none.

    Raises ConfigError if the port can't be used.
    """
    if not port:
        return
    own = registry(process)
    ProcessCollector(registry=own)
    PlatformCollector(registry=own)
    GCCollector(registry=own)
    try:
        server = make_server(host, port, _application(make_wsgi_app(own), health), _server_for(host, port), _Handler)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ConfigError(
            [
                f"METRICS_PORT {port} of {host} can't be used ({reason}): set METRICS_PORT to another "
                "port, or to 0 for no metrics"
            ]
        ) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _application(metrics: Application, health: LoopHealth) -> Application:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        checks = {"/health/live": health.live, "/health/ready": health.ready}
        good, body = checks[path]() if path in checks else (False, {"status": "not_found"})
        status = "200 OK" if good else "503 Service Unavailable" if path in checks else "404 Not Found"
        start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [orjson.dumps(body)]

    return answer


def _server_for(host: str, port: int) -> type[ThreadingWSGIServer]:
    """Return a server of the address family of `host`. Raises OSError for a name that is not known."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]

    class Server(ThreadingWSGIServer):
        address_family = family

    return Server


class _Handler(WSGIRequestHandler):
    timeout = SCRAPE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Log no request: probes come every few seconds."""
