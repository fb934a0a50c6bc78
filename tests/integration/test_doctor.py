"""`beacon doctor` before servers, keys and providers that are wrong in one way each."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
import redis

from runner_cli.check_config import check_keys, check_regions
from runner_cli.check_database import check_database
from runner_cli.check_redis import check_redis
from runner_cli.child import free_port
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.findings import Finding
from runner_core.keys import PrivateKey
from runner_core.settings import Settings


def levels(findings: Iterator[Finding]) -> dict[str, str]:
    return {found.subject: found.level for found in findings}


def settings(**env: object) -> Settings:
    return Settings.from_env({name.upper(): str(value) for name, value in env.items()})


def test_a_sound_database(database_url: str) -> None:
    found = levels(check_database(settings(), database_url))
    assert set(found.values()) == {"ok"}
    assert {"postgres", "migrations", "fsync", "synchronous_commit", "clock", "connections", "outbox"} <= set(found)


def test_a_database_that_forgets(servers: object, home: Path) -> None:
    unsafe = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
    postgres = EmbeddedPostgres(home, unsafe)
    try:
        found = levels(check_database(settings(), postgres.start()))
    finally:
        postgres.stop()
    assert {name: found[name] for name in unsafe} == dict.fromkeys(unsafe, "error") | {"autovacuum": "warning"}
    assert found["migrations"] == "error"  # it is empty


def test_more_pools_than_connections(database_url: str, conn: "psycopg.Connection[object]") -> None:
    conn.execute(
        "INSERT INTO processes (id, kind, host, pid, version)"
        " SELECT 'w' || n, 'worker', 'h', n, '1' FROM generate_series(1, 17) AS n"
    )
    found = {f.subject: f for f in check_database(settings(), database_url)}
    assert found["connections"].level == "warning"
    assert "17 worker with pools of 10 may open 187 of" in found["connections"].text
    crowded = {f.subject: f for f in check_database(settings(db_pool_max=20), database_url)}
    assert crowded["connections"].level == "error"
    assert "raise max_connections" in crowded["connections"].text


def test_messages_that_were_given_up_and_jobs_that_wait(database_url: str, conn: "psycopg.Connection[object]") -> None:
    conn.execute(
        "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
        " provider_timeout_seconds, queued_until, created_at, digest, spec, spec_raw)"
        """ VALUES ('late', '{"US": ["m"]}', '[]', 1, 0.67, 1, 1, now(), now() - interval '1 hour', '', '{}', '')"""
    )
    conn.execute("INSERT INTO outbox (job_id, topic, payload, dead_at) VALUES ('late', 'beacon-us', '{}', now())")
    found = {f.subject: f for f in check_database(settings(), database_url)}
    assert found["outbox"].level == found["jobs"].level == "warning"
    assert found["outbox"].text.startswith("1 messages were given up")
    assert found["jobs"].text.startswith("1 queued for over 10 minutes")


def test_nobody_answers() -> None:
    gone = f"127.0.0.1:{free_port()}"
    (database,) = check_database(settings(), f"postgresql://u@{gone}/d")
    (queue,) = check_redis(settings(redis_url=f"redis://{gone}/0"))
    assert (database.level, queue.level) == ("error", "error")
    assert "check DATABASE_URL" in database.text
    assert "check REDIS_URL" in queue.text
    assert [f.level for f in (*check_database(settings(), ""), *check_redis(settings()))] == ["error", "error"]


@pytest.mark.parametrize(("seconds", "level"), [(1.0, "ok"), (-10.0, "warning"), (90.0, "error")])
def test_a_clock_that_is_wrong(database_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, level: str) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=seconds)

    monkeypatch.setattr("runner_cli.check_database.datetime", Wrong)
    assert levels(check_database(settings(), database_url))["clock"] == level


@pytest.mark.parametrize(("version", "level"), [("6.0.16", "error"), ("6.2.0", "ok")])
def test_a_redis_that_is_too_old(
    own_valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch, version: str, level: str
) -> None:
    """A real answer but for the version."""
    ask = redis.Redis.info
    monkeypatch.setattr(redis.Redis, "info", lambda client: ask(client) | {"redis_version": version})
    found = {f.subject: f for f in check_redis(settings(redis_url=own_valkey.url))}
    assert found["redis"].level == level
    assert ("6.2 or later is needed" in found["redis"].text) == (level == "error")


def test_a_sound_redis(own_valkey: EmbeddedValkey) -> None:
    assert set(levels(check_redis(settings(redis_url=own_valkey.url))).values()) == {"ok"}


def test_a_redis_that_is_a_cache(servers: object, home: Path) -> None:
    cache = EmbeddedValkey(home, {"maxmemory-policy": "allkeys-lru", "appendonly": "no", "maxmemory": "1mb"})
    try:
        found = levels(check_redis(settings(redis_url=cache.start())))
    finally:
        cache.stop()
    assert found == {"redis": "ok", "eviction": "error", "persistence": "warning", "memory": "warning"}


def test_keys(tmp_path: Path) -> None:
    key = PrivateKey.generate()
    key.save(tmp_path / "receipt.pem")
    trusted = tmp_path / "trusted.json"
    entry = {"kid": "a", "public_key": key.public_key, "status": "active"}
    trusted.write_text(json.dumps([entry]))
    good = {
        "trusted_keys_file": trusted,
        "receipt_key_file": tmp_path / "receipt.pem",
        "admin_tokens": f"ops:{'t' * 40}",
    }
    assert levels(check_keys(settings(**good))) == {"trusted keys": "ok", "admin": "ok", "receipts": "ok"}
    assert "1 administrator" in [found.text for found in check_keys(settings(**good))]
    loose = levels(check_keys(settings(trust_enforce=0, freshness_enforce=0, allow_unsigned=1)))
    assert set(loose.values()) == {"warning"}
    assert set(loose) == {"trusted keys", "freshness", "unsigned", "admin", "receipts"}
    trusted.write_text(json.dumps([entry | {"status": "revoked"}]))
    (tmp_path / "receipt.pem").chmod(0o644)
    broken = levels(check_keys(settings(**good)))
    assert (broken["trusted keys"], broken["receipts"]) == ("error", "error")
    assert levels(check_keys(settings()))["trusted keys"] == "error"


class Models(BaseHTTPRequestHandler):
    """An OpenAI-compatible server with one model, for whoever has the key."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        Models.seen.append(self.path)
        allowed = self.headers["Authorization"] == "Bearer right"
        body = json.dumps({"data": [{"id": "one"}]}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[str]:
    """The base_url of a running one."""
    server = HTTPServer(("127.0.0.1", 0), Models)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def probe(tmp_path: Path) -> Callable[..., Finding]:
    """What is found of one provider at this base_url, with this key and this model."""

    def run(base_url: str, key: str, model: str = "one", *, ask: bool = True) -> Finding:
        path = tmp_path / "regions.toml"
        path.write_text(
            f'default_model = "m"\n[regions.US]\n[[providers]]\nid = "p"\nregion = "US"\nkind = "openai"\n'
            f'base_url = "{base_url}"\napi_key_env = "PROVIDER_KEY"\nmodels = {{ m = "{model}" }}\n'
        )
        env = {"PROVIDER_KEY": key} if key else {}
        found = {f.subject: f for f in check_regions(settings(regions_file=path), env, probe=ask)}
        assert found["regions"].level == "ok"
        assert found["calls at once"].text == "at most, from each worker process: p 8"
        return found.get("provider p", Finding("none", "", ""))

    return run


def test_providers(provider: str, probe: Callable[..., Finding]) -> None:
    assert probe(provider, "right").level == "ok"
    wrong_key = probe(provider, "wrong")
    assert (wrong_key.level, "check PROVIDER_KEY" in wrong_key.text) == ("error", True)
    unlisted = probe(provider, "right", "two")
    assert (unlisted.level, "does not list two" in unlisted.text) == ("warning", True)
    for secret in ("right-but-\u043a", "right\nbut"):
        unsendable = probe(provider, secret)
        assert (unsendable.level, "PROVIDER_KEY" in unsendable.text) == ("error", True)
        assert "right" not in unsendable.text
    assert probe(provider, "right\n").level == "ok", "as the workers take it"
    no_key = probe(provider, "")
    assert (no_key.level, "set PROVIDER_KEY" in no_key.text) == ("error", True)
    gone = probe(f"http://127.0.0.1:{free_port()}/v1", "right")
    assert (gone.level, "can't be reached" in gone.text) == ("error", True)
    assert set(Models.seen) == {"/v1/models"}
    Models.seen.clear()
    assert probe(provider, "right", ask=False).level == "none"
    assert Models.seen == []


def test_a_regions_file_with_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "regions.toml"
    path.write_text(
        'default_model = "m"\n[regions.US]\n[[providers]]\nid = "p"\nregion = "EU"\nkind = "odd"\nmodels = {m = "m"}\n'
    )
    found = list(check_regions(settings(regions_file=path), {}, probe=False))
    assert len(found) > 1
    assert {f.level for f in found} == {"error"}
    assert levels(check_regions(settings(), {}, probe=False)) == {"regions": "error"}
