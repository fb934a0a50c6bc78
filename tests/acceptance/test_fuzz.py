"""Odd requests to every route of the running API: each is answered or refused, none is a failure of ours, and what is
refused leaves nothing behind. Requests follow from a seed, so that a failure comes again.
"""

import base64
import gzip
import http.client
import itertools
import json
import random
import re
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg

from runner_api.app import create_app
from runner_cli.home import secret
from runner_cli.local import Local
from runner_core.cells import cell_of
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.regions import load_catalogue
from runner_core.secret_files import PROCESSES
from runner_core.settings import Settings
from runner_core.signing import sign
from tests.acceptance.fault_site import site
from tests.acceptance.sender import job
from tests.http_requests import request
from tests.jobs import one, query
from tests.scrape import logs

Conn = psycopg.Connection[Any]
SANDBOX_REGIONS = Path(__file__).parent.parent.parent / "regions/sandbox.toml"
SEED, REQUESTS = 20261124, 2000
FOR_PROGRAMS = ("/api/", "/admin/", "/health", "/metrics")
SUBMIT = ("/api/v1/jobs", "/api/v1/jobs/cross-region")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW")
HOSTILE = (
    *("", "0", "-1", "1e999", "99999999999999999999", "NaN", "null", "true", "' OR 1=1 --", "%00", "\x00", "..", "/"),
    *(
        "a" * 300,
        "\u202e\u2028",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "é",
        "*",
        "%s%d{0}",
    ),
    *("<script>", "../../etc/passwd", "sent-1", "2026-13-45T99:99:99Z", ";", "\t", "${jndi:x}", "[]", '{"a":'),
)
QUERIES = (
    "limit",
    "offset",
    "cursor",
    "status",
    "after",
    "include",
    "q",
    "region",
    "model",
    "question",
    "next",
    "said",
)
HEADERS = (
    *("Idempotency-Key", "X-Request-ID", "If-None-Match", "Last-Event-ID", "traceparent", "Accept", "Accept-Encoding"),
    *("Origin", "Cookie", "Authorization", "Content-Encoding", "Range", "Expect-Nothing", "HX-Request", "Referer"),
)
TYPES = (
    *("application/json", "application/json; charset=utf-16", "text/plain", "multipart/form-data; boundary=x", ""),
    *("application/x-www-form-urlencoded", "application/problem+json", "*/*", "application/json;;;=", "x" * 200),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, -0.0, 2**53, 2**63, "", "\x00", "x" * 9000, [], {}, [[]], [None], {"": ""}),
    *(["US"] * 100, {"a": {"b": None}}, "\u2028", "US", ["US", "us-east"], [{"id": "m", "regions": ["MARS"]}]),
)


@dataclass(frozen=True)
class Sent:
    """One request and what came of it."""

    method: str
    path: str
    status: int
    kind: str
    document: Any


class Fuzzer:
    """Makes requests for the routes of the application; `key` signs jobs that the API trusts."""

    def __init__(self, local: Local, routes: list[str], seed: int) -> None:
        at = urlsplit(local.api_url)
        self.host, self.port = str(at.hostname), int(at.port or 80)
        self.routes, self.random = routes, random.Random(seed)  # noqa: S311 - it repeats itself on purpose
        self.local, self.key = local, PrivateKey.load(local.signing_key)

    def shoot(self) -> Sent:
        """One request."""
        pick = self.random.choice
        method = pick(METHODS) if self.random.random() < 0.4 else pick(("GET", "POST"))
        route = pick(SUBMIT) if method == "POST" and self.random.random() < 0.5 else pick(self.routes)
        path = re.sub(r"<(?:[^:<>]*(?:\([^)]*\))?:)?\w+>", lambda _: self.name(), route)
        if self.random.random() < 0.3:
            names = self.random.choices(QUERIES, k=self.random.randint(1, 3))
            path += "?" + "&".join(f"{name}={quote(pick(HOSTILE), safe='%')}" for name in names)
        headers = {name: self.header() for name in self.random.sample(HEADERS, self.random.randint(0, 3))}
        if self.random.random() < 0.4:
            headers["Authorization"] = f"Bearer {self.local.admin_token}"
        body = self.body() if method not in ("GET", "HEAD") or self.random.random() < 0.1 else None
        if body is not None:
            headers["Content-Type"] = "application/json" if self.random.random() < 0.7 else pick(TYPES)
        return self.send(method, path, headers, body)

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Sent:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, body, headers, encode_chunked=False)
            answer = connection.getresponse()
            kind = answer.getheader("Content-Type", "")
            raw = b"" if kind.startswith("text/event-stream") else answer.read()
            if answer.getheader("Content-Encoding") == "gzip":  # a header of chance may take it, as * does
                raw = gzip.decompress(raw)
            return Sent(method, path, answer.status, kind, json.loads(raw) if "json" in kind and raw else None)
        finally:
            connection.close()

    def name(self) -> str:
        """Something where an id belongs; quoted, or the request would not be one."""
        names = ("sent-1", "1", "0", "9" * 18, "9" * 30, "00000000-0000-0000-0000-000000000000")
        return quote(self.random.choice((*names, *HOSTILE)), safe="%") or "%20"

    def header(self) -> str:
        """A value that http.client lets pass."""
        text = self.random.choice((*HOSTILE, "".join(self.random.choices(string.printable, k=40)), "text/html"))
        return re.sub(r"[^\x20-\x7e\xa0-\xff]", "", text).strip() or "x"

    def body(self) -> bytes:
        """Bytes, JSON of some other shape, or a job with something wrong: changed, and half the time signed again."""
        way = self.random.randrange(6)
        if way == 0:
            return self.random.randbytes(self.random.randint(0, 400))
        if way == 1:
            return json.dumps(self.random.choice(VALUES)).encode()
        if way == 2:
            return b"[" * self.random.choice((10, 70, 100_000))
        spec = job(self.local)
        for _ in range(self.random.randint(0, 2)):
            self.break_something(spec)
        if self.random.random() < 0.5:
            spec = self.signed({name: value for name, value in spec.items() if name not in ("signature", "public_key")})
        wrapped: Any = {"jobspec": spec, "min_regions": self.random.choice(VALUES)} if way == 3 else spec
        raw = bytearray(json.dumps(wrapped).encode())
        if self.random.random() < 0.2:
            raw[self.random.randrange(len(raw))] = self.random.randrange(256)
        return bytes(raw)

    def break_something(self, spec: dict[str, Any]) -> None:
        """Put some value somewhere, or take one away."""
        inside: Any = spec
        while True:
            name = self.random.choice(sorted(inside))
            if isinstance(inside[name], dict) and inside[name] and self.random.random() < 0.7:
                inside = inside[name]
                continue
            if self.random.random() < 0.3:
                del inside[name]
            else:
                inside[name] = self.random.choice(VALUES)
            return

    def signed(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Signed by a key that is trusted, where such a thing can be signed at all."""
        try:
            return sign(spec, self.key)
        except Exception:  # noqa: BLE001 - what has no canonical form goes out as it is
            return spec | {"signature": base64.b64encode(bytes(64)).decode(), "public_key": self.key.public_key}


def routes() -> list[str]:
    """Every address that the application knows."""
    env = {"DATABASE_URL": "postgresql://127.0.0.1:9/none", "ALLOW_SANDBOX": "1", "REGIONS_FILE": str(SANDBOX_REGIONS)}
    settings = Settings.from_env(env, "api")
    catalogue = load_catalogue(settings.jobs.regions_file, allow_sandbox=True)
    app = create_app(settings, Database(settings, "api"), catalogue, None)
    return sorted({rule.rule for rule in app.url_map.iter_rules()})


def test_no_request_makes_the_api_fail_and_a_refused_one_leaves_nothing(
    stack: Callable[..., Local], conn: Conn
) -> None:
    local = stack(publisher=0, worker_us=0, worker_eu=0, worker_asia=0)
    fuzzer = Fuzzer(local, known := routes(), SEED)
    assert len(known) > 20
    # Every route once with every method, then whatever comes.
    sent = [
        fuzzer.send(method, re.sub(r"<[^>]+>", "sent-1", route), {}, None)
        for route, method in itertools.product(known, METHODS)
    ]
    sent += [fuzzer.shoot() for _ in range(REQUESTS)]

    for one_sent in sent:
        assert one_sent.status < 500 or one_sent.status in (501, 503), one_sent
        if one_sent.status >= 400 and one_sent.path.startswith(FOR_PROGRAMS) and one_sent.method != "HEAD":
            assert one_sent.kind == "application/problem+json", one_sent
            assert isinstance(one_sent.document["error"], str), one_sent
            assert isinstance(one_sent.document["error_code"], str), one_sent
            assert one_sent.document["status"] == one_sent.status, one_sent
    statuses = Counter(one_sent.status for one_sent in sent)
    assert statuses.keys() >= {200, 202, 400, 401, 404, 405, 415, 422}, statuses

    accepted = {s.document["job_id"] for s in sent if s.status == 202 and s.path.startswith("/api/v1/jobs")}
    for table in ("jobs", "idempotency_keys", "nonces", "outbox", "job_events"):
        column = "id" if table == "jobs" else "job_id"
        found = {row["id"] for row in query(conn, f"SELECT {column} AS id FROM {table}")}  # noqa: S608 - our names
        assert found <= accepted, table
    assert {row["id"] for row in query(conn, "SELECT id FROM jobs")} == accepted
    assert request("GET", f"{local.api_url}/health/ready")[0] == 200
    # Nor does a refusal cost a connection to the database.
    assert not re.search(r"Traceback| ERROR |discarding closed connection", logs(local)["api.1"])


CANARY = "canary-7f3a"


def test_no_log_holds_a_key_a_token_a_secret_or_a_prompt(
    stack: Callable[..., Local], home: Path, conn: Conn, database_url: str, redis_url: str
) -> None:
    provider_key = f"{CANARY}-provider-key"
    env = {"DB_AUDIT": "1", "PROVIDER_KEY": provider_key}
    with site(stack, home, conn, env, key_env="PROVIDER_KEY", worker_us=1) as it:
        prompt, answer = f"{CANARY}-prompt", f"{CANARY}-answer"
        it.provider.add_rule(fault="raw", text=answer, match={"prompt": "garbled"})
        it.provider.add_rule(fault="status", status=400, match={"prompt": "refused"})
        ended = [it.submit(questions=(f"{prompt} {word}",)) for word in ("answered", "garbled", "refused")]
        for job_id in ended:
            it.ended(job_id)
        spec = it.spec(questions=(prompt,))
        forged = {**spec, "questions": [f"{prompt} forged"]}
        malformed = json.dumps(forged)[:-1].encode()
        url, word = it.local.api_url, f"{CANARY}-word"
        for headers in (
            {},
            {"Authorization": f"Bearer {word}"},
            {"Idempotency-Key": word},
            {"Cookie": f"session={word}"},
        ):
            for body in (json.dumps(forged).encode(), malformed, json.dumps({word: word}).encode()):
                said = request("POST", f"{url}/api/v1/jobs", body, {"Content-Type": "application/json", **headers})
                assert 400 <= said[0] < 500
                assert CANARY not in json.dumps(said[1])
            assert request("GET", f"{url}/admin/outbox?token={word}", None, headers)[0] == 401
        assert it.cancel(ended[0])[0] == 409  # the administrator's own token, accepted

        pem = it.local.signing_key.read_text().splitlines()
        secrets = {
            *(CANARY, it.local.admin_token, spec["signature"], spec["public_key"], pem[1]),
            *(str(urlsplit(address).password) for address in (database_url, redis_url)),
            *(secret(home, f"{role}.password") for role in map(cell_of(it.local.database_url).login, PROCESSES)),
        }
        assert any(provider_key in str(call.headers) for call in it.provider.calls)
        written = logs(it.local)
        assert written.keys() == {"api.1", "publisher.1", "worker_us.1", "analyst.1"}
        for name, text in written.items():
            assert [hidden for hidden in secrets if hidden in text] == [], name
        assert all(job_id in "".join(written.values()) for job_id in ended)
        assert one(conn, "SELECT count(*) FROM jobs") == len(ended)
