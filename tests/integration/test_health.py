"""The API as it is started: its checks, its health, its metrics, its limits on the wire, its end."""

import http.client
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg

from runner_cli.child import free_port
from runner_core import __version__
from runner_core.migrate import latest
from tests.cells import CELL
from tests.integration.api_client import Api
from tests.integration.server import Server

Start = Callable[..., Server]


def test_health_names_what_is_missing(api: Api) -> None:
    def parts() -> dict[str, str]:
        body = api.client.get("/health").get_json()
        assert (body["service"], body["version"]) == ("beacon-runner", __version__)
        assert body["regions_file_sha256"] == api.catalogue.sha256
        assert all({"name", "status", "latency_ms"} <= set(part) for part in body["services"])
        return {"": body["status"], **{part["name"]: part["status"] for part in body["services"]}}

    assert parts() == {
        "": "degraded",
        "database": "healthy",
        "publisher": "down",
        "worker:US": "down",
        "worker:EU": "down",
        "worker:ASIA": "down",
        "analyst": "down",
    }
    alive = (("publisher", None), ("worker", "US"), ("worker", "EU"), ("worker", "ASIA"), ("analyst", None))
    for kind, region in alive:
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version) VALUES (%s, %s, %s, 'h', 1, '0')",
            f"{kind}{region}",
            kind,
            region,
        )
    assert set(parts().values()) == {"healthy"}
    api.sql("UPDATE processes SET seen_at = now() - interval '1 minute' WHERE region = 'EU'")
    assert (parts()[""], parts()["worker:EU"]) == ("degraded", "down")
    assert api.client.get("/api/v1/health").get_json()["status"] == "degraded"


def test_what_is_down_comes_with_its_command(api: Api) -> None:
    """And a region's part says which workers can't be seen here."""
    notes = {part["name"]: part.get("note", "") for part in api.client.get("/health").get_json()["services"]}
    assert notes["publisher"] == "No process is alive: start python -m outbox_publisher."
    started = "No process is alive: start python -m runner_worker --region ASIA; a plain `rq worker`"
    assert notes["worker:ASIA"].startswith(started)
    assert notes["analyst"] == "No process is alive: start python -m runner_analyst."
    assert notes["database"] == ""


def test_ready_writes_and_reads_back(api: Api) -> None:
    assert api.client.get("/health/ready").get_json() == {"status": "ready"}
    assert api.sql("SELECT count(*) FROM processes") == [(0,)]
    api.sql(f"REVOKE INSERT ON processes FROM {CELL.login('api')}")
    answer = api.client.get("/health/ready")
    assert (answer.status_code, answer.get_json()["error_code"]) == (503, "not_ready")
    api.sql(f"GRANT INSERT ON processes TO {CELL.login('api')}")
    api.sql("DELETE FROM schema_migrations WHERE version = %s", latest())
    answer = api.client.get("/health/ready")
    assert answer.status_code == 503
    assert "beacon migrate" in answer.get_json()["detail"]
    assert api.client.get("/health/live").status_code == 200


def test_a_schema_that_a_rolling_deployment_made_newer_is_good_enough(api: Api) -> None:
    api.sql("INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, 'next', '-')", latest() + 1)
    assert api.client.get("/health/ready").status_code == 200


def test_a_database_that_is_away(make_api: Callable[..., Api]) -> None:
    """Every answer is a 503 that says when to come again, within the pool's patience."""
    api = make_api(BEACON_TEST="1", DB_WRITE_TIMEOUT_MS="100")
    spec = api.job()
    api.db.close()
    away = make_api(
        DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/none", BEACON_TEST="1", DB_WRITE_TIMEOUT_MS="100"
    )
    away.trust(api.key)
    for answer in (away.post(spec), away.client.get("/api/v1/jobs"), away.client.get(f"/api/v1/jobs/{spec['id']}")):
        assert answer.status_code == 503
        assert answer.get_json()["error_code"] in ("pool_timeout", "database_unavailable")
        assert answer.headers["Retry-After"]
    health = away.client.get("/health")
    assert (health.status_code, health.get_json()["status"]) == (503, "down")
    assert away.client.get("/health/live").status_code == 200
    assert away.client.get("/health/ready").status_code == 503


def test_a_connection_that_is_cut_is_replaced(api: Api) -> None:
    api.submit()
    api.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'beacon-api'"
    )
    api.submit()
    assert api.counts()["jobs"] == 2


def test_the_server_from_start_to_end(api: Api, start: Start, conn: "psycopg.Connection[None]") -> None:
    server = start(api.env | {"DB_AUDIT": "1", "LOG_JSON": "1", "WEB_CONCURRENCY": "2", "WEB_THREADS": "4"}).wait()
    spec = api.job()
    for expected in (202, 200):
        answer = httpx2.post(f"{server.url}/api/v1/jobs", json=spec, headers={"X-Request-ID": "wire-1"})
        assert answer.status_code == expected, answer.text
    assert httpx2.get(f"{server.url}/health/ready").status_code == 200

    # The metrics are those of both workers, whichever is asked.
    for _ in range(20):
        httpx2.get(f"{server.url}/api/v1/jobs/{spec['id']}")
    job_path = re.escape('{method="GET",path="/api/v1/jobs/<job_id>",status="200"}')
    text = httpx2.get(f"{server.url}/metrics").text
    assert re.search(f"^http_requests_total{job_path} 20.0$", text, re.MULTILINE)
    assert spec["id"] not in text
    assert server.metric("jobs_enqueued_total") == 1
    assert server.metric("db_write_errors_total") == 0
    assert re.search(
        r'^db_write_latency_ms_count\{op="jobs.submit"\} 2.0$', text, re.MULTILINE
    )  # the job and its repeat
    assert "outbox_unpublished_count" not in text, "gauges belong to the publishers"

    def present() -> int:
        return len(conn.execute("SELECT 1 FROM processes WHERE kind = 'api'").fetchall())

    while present() < 2:  # the second worker may still be starting
        pass
    assert server.stop() == 0
    assert present() == 0

    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert all(line["level"] == "INFO" for line in lines), lines
    messages = [line["message"] for line in lines]
    submit = next(m for m in messages if m.startswith("DB_AUDIT jobs.submit"))
    assert re.fullmatch(rf"DB_AUDIT jobs\.submit job_id={spec['id']} regions=2 rows=1 elapsed_ms=\d+", submit)
    access = next(line for line in lines if line["logger"] == "api.access" and "POST" in line["message"])
    assert access["request_id"] == "wire-1"
    everything = server.log.read_text()
    for secret in (spec["signature"], spec["public_key"], spec["metadata"]["nonce"], "What is one?"):
        assert secret not in everything


def test_bodies_over_the_limit_on_the_wire(api: Api, start: Start) -> None:
    server = start(api.env).wait()
    mebibyte = b"x" * (1 << 20)

    def post(headers: dict[str, str], *parts: bytes) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request(
            "POST",
            "/api/v1/jobs",
            iter(parts) if headers.get("Transfer-Encoding") else b"".join(parts),
            {"Content-Type": "application/json", **headers},
            encode_chunked=bool(headers.get("Transfer-Encoding")),
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["error_code"]

    chunked = {"Transfer-Encoding": "chunked"}
    assert post({}, mebibyte, mebibyte) == (413, "body_too_large")
    assert post(chunked, mebibyte, mebibyte) == (413, "body_too_large")
    assert post(chunked, mebibyte, b"x") == (413, "body_too_large")
    assert post(chunked, mebibyte) == (400, "malformed_json")
    spec = json.dumps(api.job()).encode()
    assert post(chunked, spec[:-100]) == (400, "malformed_json")
    assert api.counts()["jobs"] == 0
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    kind = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection.request("POST", "/api/v1/jobs", iter([spec[:99], spec[99:]]), kind, encode_chunked=True)
    assert connection.getresponse().status == 202
    assert server.stop() == 0


def test_mistakes_are_all_told_at_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "regions.toml").write_text("default_model = 3\n[regions.us]\n")
    server = start(
        {
            "DATABASE_URL": "",
            "REGIONS_FILE": str(tmp_path / "regions.toml"),
            "DB_POOL_MAX": "many",
            "WEB_CONCURRENCY": "0",
            "PORT": "x",
            "TRUSTED_KEYS_FILE": "/nowhere.json",
        }
    )
    assert server.process.wait(60) == 2
    told = server.log.read_text()
    for name in ("DATABASE_URL", "DB_POOL_MAX", "default_model", "regions.us", "WEB_CONCURRENCY", "PORT", "/nowhere"):
        assert name in told, name
    assert "Traceback" not in told
    nothing = start({"DATABASE_URL": "postgresql://nobody@127.0.0.1/none"})
    assert nothing.process.wait(60) == 2
    assert [line.split(" ")[0] for line in nothing.log.read_text().splitlines()] == [
        "REGIONS_FILE",
        "TRUSTED_KEYS_FILE",
    ]


def test_a_database_that_is_not_ready_ends_it_with_one_sentence(
    api: Api, start: Start, empty_database_url: str
) -> None:
    server = start(api.env | {"DATABASE_URL": empty_database_url, "PROBE_SECONDS": "0"})
    assert server.process.wait(30) == 1
    last_line = server.log.read_text().splitlines()[-1]
    assert last_line.startswith("The API can't start: the database has no ")
