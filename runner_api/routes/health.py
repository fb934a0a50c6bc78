"""Health: whether this process is alive, whether it is ready, and the state of all processes."""

import time
from typing import Any

import psycopg
from flask import Blueprint, Response
from psycopg_pool import PoolTimeout

from runner_api.http.services import services
from runner_api.http.wire import reply
from runner_core import __version__, queries
from runner_core.db import Database
from runner_core.queries import Row
from runner_core.readiness import probe
from runner_core.sqlstate import sqlstate
from runner_core.start_commands import start_command
from runner_core.statuses import ALIVE_SECONDS

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@blueprint.get("/api/v1/health")
def health() -> Response:
    """Show the database and every kind of process. 503 only when the database can't be reached."""
    service = services()
    began = time.perf_counter()
    alive, failure = _alive(service.db)
    latency_ms = round((time.perf_counter() - began) * 1000, 2)
    database: dict[str, Any] = {
        "name": "database",
        "status": "down" if failure else "healthy",
        "latency_ms": latency_ms,
    }
    if failure:
        database["error_code"] = failure
    parts = [database] if failure else [database, *_processes(alive, list(service.catalogue.regions))]
    status = "healthy" if all(part["status"] == "healthy" for part in parts) else "degraded"
    return reply(
        {
            "service": "beacon-runner",
            "version": __version__,
            "status": "down" if failure else status,
            "services": parts,
            "regions_file_sha256": service.catalogue.sha256,
        },
        503 if failure else 200,
    )


@blueprint.get("/health/live")
def live() -> Response:
    """Answer 200 while the process serves."""
    return reply({"status": "alive"})


@blueprint.get("/health/ready")
def ready() -> Response:
    """Try a ping, a write, its read-back and the schema's version. 503 with the reason when one of them fails."""
    probe(services().db)
    return reply({"status": "ready"})


def _alive(db: Database) -> tuple[list[Row], str]:
    try:
        with db.transaction() as conn:
            return queries.rows(conn, "reads.alive", alive_seconds=ALIVE_SECONDS), ""
    except (psycopg.Error, PoolTimeout) as error:
        return [], sqlstate(error)


def _processes(alive: list[Row], regions: list[str]) -> list[dict[str, Any]]:
    """Return the state of the publisher, of each region's workers and of the analyst. Jobs need the former, comparisons
    the analyst; this API needs none."""
    counts = {(row["kind"], row["region"]): row["alive"] for row in alive}
    wanted: list[tuple[str, str | None]] = [("publisher", None), *(("worker", region) for region in regions)]
    wanted.append(("analyst", None))
    return [_part(kind, region, counts.get((kind, region), 0)) for kind, region in wanted]


def _part(kind: str, region: str | None, alive: int) -> dict[str, Any]:
    part = {
        "name": kind if region is None else f"{kind}:{region}",
        "status": "healthy" if alive else "down",
        "latency_ms": None,
        "processes": alive,
    }
    if alive:
        return part
    unseen = "; a plain `rq worker` on this queue is not counted" if region else ""
    return {**part, "note": f"No process is alive: start {start_command(kind, region)}{unseen}."}
