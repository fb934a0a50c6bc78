"""One lane: a database, a Redis database, a provider and a tap before each, for one point after the other."""

import contextlib
import itertools
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg.rows import dict_row

from bench.crash.environment import FIRST_PORT, LATE_SECONDS, PORTS, Site, environment
from bench.crash.processes import Process, Processes, unread
from bench.crash.tap import Tap
from bench.wire.http import HttpReader
from bench.wire.postgres import PostgresReader
from bench.wire.resp import RedisReader
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.settings import Settings
from runner_queue.broker import Broker
from tests.http_requests import request
from tests.provider_server import ProviderServer

# Which of several connections has sent a statement before, and need not send its text, would differ between runs.
ONE_CONNECTION = {"DB_POOL_MAX": "1"}
BACKGROUND = ("api", "publisher", "worker US", "worker EU")
KEPT = (b"beacon:sentinel", b"beacon:stack")  # without the first one the publisher would consider Redis emptied
OTHERS = """SELECT client_port, state = 'idle' AND wait_event = 'ClientRead' AS is_idle FROM pg_stat_activity
             WHERE datname = current_database() AND application_name IN ('beacon-publisher', 'beacon-worker')"""
# With the rows that refer to them.
OWNED = ("jobs", "nonces", "idempotency_keys", "processes", "job_events", "tries", "embeddings")


class Lane:
    """One place where crash points are tried: `victims` reach the servers through the taps, `others` directly."""

    def __init__(self, site: Site) -> None:
        site.folder.mkdir()
        self.site = site
        self._logs = [site.folder / "victims.log", site.folder / "others.log"]
        self.victims, self.others = (Processes(str(log)) for log in self._logs)
        self._numbers, self._ports = itertools.count(1), itertools.count()
        self.key = PrivateKey.generate()
        trusted = [{"kid": "crash", "public_key": self.key.public_key, "status": "active"}]
        (site.folder / "keys.json").write_text(json.dumps(trusted))
        self.provider = ProviderServer()
        database, store = urlsplit(site.url), urlsplit(site.redis_url)
        self.taps = {
            "postgres": Tap(PostgresReader, "127.0.0.1", database.port or 5432, late_seconds=LATE_SECONDS),
            "redis": Tap(RedisReader, "127.0.0.1", store.port or 6379, late_seconds=LATE_SECONDS),
            "provider": Tap(HttpReader, "127.0.0.1", self.provider.port, late_seconds=LATE_SECONDS),
        }
        self.conn = psycopg.connect(site.url, autocommit=True, row_factory=dict_row)
        self.redis = redis.Redis.from_url(site.redis_url)
        ports = {name: tap.port for name, tap in self.taps.items()}
        self.tapped = environment(site, "tapped", ports, self.provider.port)
        self.direct = environment(site, "direct", {}, self.provider.port)
        self.url = ""
        self.background: dict[str, Process] = {}
        settings = Settings.from_env(self.direct, "publisher")
        self.publishing = Database(settings, "publisher").open(), Broker(settings)

    def reset(self) -> None:
        """Prepare the next point: stop the other processes, end victims, delete all rows, let every tap pass data."""
        self.victims.kill_all()
        self.others.kill(*(process for process in self.others.running() if process not in self.background.values()))
        self.start_background()
        self.provider.set_rules([])
        self.provider.release()
        self.conn.execute(b"; ".join(b"DELETE FROM " + table.encode() for table in OWNED))
        self.hush()
        for tap in self.taps.values():
            if not tap.is_listening:
                tap.accept()
            tap.reset()
            tap.ports.clear()
            tap.learn()
        if forgotten := [key for key in self.redis.scan_iter() if key not in KEPT]:
            self.redis.delete(*forgotten)
        self.provider.calls.clear()
        for log in self._logs:
            with log.open("a") as file:
                file.truncate(0)

    def said(self) -> str:
        """Return the victims' log since `reset`."""
        log = self._logs[0]
        return log.read_text(errors="replace") if log.exists() else ""

    # -- the background processes: an API to which clients repeat their requests, and a publisher and workers, which are
    # stopped (SIGSTOP) until `let_go` --

    def start_background(self) -> None:
        """Start those background processes that do not run, and wait until they work."""
        missing = [kind for kind in BACKGROUND if kind not in self.background or self.background[kind].has_ended()]
        if not missing:
            return
        for kind in missing:
            env = dict(self.direct)
            if kind == "api":
                port = self.free_port()
                env["PORT"], self.url = str(port), f"http://127.0.0.1:{port}"
            self.background[kind] = self.others.start(kind, env)
        until(lambda: request("GET", f"{self.url}/health/live")[0] == 200, "the other API answers")
        self.let_go(*missing)
        query = "SELECT count(DISTINCT concat(kind, region)) FROM processes WHERE kind IN ('publisher', 'worker')"
        self.do("DELETE FROM processes")
        until(lambda: self.one(query) == len(BACKGROUND) - 1 or len(missing) < len(BACKGROUND), "the others work", 30.0)

    def let_go(self, *kinds: str) -> None:
        """Continue these processes (SIGCONT)."""
        for kind in kinds:
            self.background[kind].send(signal.SIGCONT)

    def hush(self) -> None:
        """Stop the background processes at a moment at which none is in a transaction or waits for a message."""

        def is_hushed() -> bool:
            for kind, process in self.background.items():
                if kind != "api":
                    process.stop()
            # In this order: first the server has read what they had sent, then its sessions are idle.
            sent = unread(urlsplit(self.site.url).port or 5432)
            if all(session["is_idle"] and session["client_port"] not in sent for session in self.ask(OTHERS)):
                return True
            self.let_go(*self.background)
            return False

        until(is_hushed, "the others are in no transaction", 30.0)
        until(lambda: not self._is_popped(), "no worker waits at Redis", 30.0)

    def _is_popped(self) -> bool:
        """Return whether a client waits for a message: Redis would give the message to a stopped process."""
        # The server filters: to read the list of all clients of all lanes took most of a lane's time.
        client: Any = self.redis  # its stub lacks the types
        return bool(client.execute_command("CLIENT LIST", "DB", str(self.site.number), "FLAGS", "b"))

    def close(self) -> None:
        """Stop everything that this lane has started."""
        self.victims.kill_all()
        self.others.kill_all()
        for tap in self.taps.values():
            tap.close()
        for part in (*self.publishing, self.provider, self.conn):
            part.close()

    def victim(self, kind: str, **env: str) -> Process:
        """Start a process behind the taps."""
        return self.victims.start(kind, self.tapped | ONE_CONNECTION | env)

    def victim_api(self, **env: str) -> str:
        """Start an API behind the taps, and wait until it listens. Return its URL."""
        port = self.free_port()
        self.victim("api", PORT=str(port), **env)
        url = f"http://127.0.0.1:{port}"
        until(lambda: request("GET", f"{url}/health/live")[0] == 200, "the victim's API answers")
        return url

    # -- queries --

    def ask(self, query: str, *params: Any) -> list[dict[str, Any]]:
        """Return the rows of a query, as the database's owner."""
        return self.conn.execute(query.encode(), params or None).fetchall()

    def do(self, statement: str, *params: Any) -> None:
        """Run a statement, as the database's owner."""
        self.conn.execute(statement.encode(), params or None)

    def one(self, query: str, *params: Any) -> Any:
        """Return the first column of the first row."""
        found = self.ask(query, *params)
        return next(iter(found[0].values())) if found else None

    def free_port(self) -> int:
        """Return a port of this lane: one that the system chose could be given to another lane before its use."""
        while True:
            port = FIRST_PORT + PORTS * self.site.number + next(self._ports) % PORTS
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port

    def name(self) -> str:
        """Return a job's name that this lane has not used."""
        return f"job-{next(self._numbers)}"


def until(look: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Wait until `look` returns True. Raises TimeoutError with `what`."""
    deadline, pause = time.monotonic() + seconds, 0.005
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return seen


def in_background(work: Callable[[], object]) -> threading.Thread:
    """Start `work` on a thread of its own."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
