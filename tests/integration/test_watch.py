"""Progress by push: event streams and long polls on real servers, their limit, their end, their fallback."""

import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from runner_api import portal
from runner_api.http import stream as streaming
from runner_api.http.services import services
from runner_api.http.watch import MAX_WATCHERS, Watchers
from runner_core.db import Database
from runner_core.notifier import payloads
from tests.cells import CELL
from tests.integration.api_client import Api
from tests.integration.server import Server
from tests.jobs import until

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def begin(api: Api, **env: str) -> Server:
            server = Server(api.env | {"WEB_CONCURRENCY": "1"} | env, tmp_path)
            stack.callback(server.kill)
            return server.wait()

        yield begin


class Stream:
    """An open event stream; its events come one by one."""

    def __init__(self, server: Server, job_id: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self.connection.request("GET", f"/api/v1/jobs/{job_id}/events", headers=STREAM | headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"].startswith("text/event-stream")

    def next(self) -> dict[str, str]:
        """The next block's fields; {} at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            if line == "\n":
                if fields:
                    return fields
                continue
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        return fields

    def until_end(self) -> list[dict[str, str]]:
        found = []
        while block := self.next():
            found.append(block)
        return found


def finish_all(api: Api, job_id: str) -> None:
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": True})


def ring(api: Api, job_id: str) -> None:
    """The hand that wrote without a verb rings as the verbs do."""
    api.worker.notifier.notify([job_id])


def test_payloads_carry_every_id_within_the_limit() -> None:
    ids = [f"job-{n}-{'x' * (n % 240)}" for n in range(500)]
    texts = payloads(ids)
    assert [i for text in texts for i in text.split(" ")] == ids
    assert max(map(len, texts)) <= 7900
    assert len(texts) < 12
    assert payloads([]) == []


def test_a_stream_from_submission_to_its_end(api: Api, start: Callable[..., Server]) -> None:
    server = start(api)
    job_id = api.submit()
    stream = Stream(server, job_id)
    assert stream.next() == {"retry": "2000"}
    first = stream.next()
    assert (first["id"], json.loads(first["data"])["type"]) == ("1", "submitted")
    progress = stream.next()
    assert progress["event"] == "progress"
    finish_all(api, job_id)
    ring(api, job_id)
    rest = stream.until_end()
    told = [json.loads(block["data"]) for block in rest if "id" in block]
    stored = api.get(f"/jobs/{job_id}/events")["events"]
    assert [event["seq"] for event in told] == [event["seq"] for event in stored[1:]]
    assert told == stored[1:]
    assert rest[-1]["event"] == "end"
    assert json.loads(rest[-1]["data"])["status"] == "completed"
    # The page listens to just what is sent.
    listens = re.search(r"EVENTS = (\[.*?\])", (Path(portal.__file__).parent / "static/portal.js").read_text())
    assert listens
    assert {block.get("event", "message") for block in (first, progress, *rest)} == set(json.loads(listens[1]))
    # Lost and resumed: nothing twice, nothing missed, and an ended job ends at once.
    resumed = Stream(server, job_id, **{"Last-Event-ID": rest[0]["id"]}).until_end()
    assert [b["id"] for b in resumed if "id" in b] == [str(e["seq"]) for e in told[1:]]
    assert resumed[-1]["event"] == "end"
    gone = httpx2.get(f"{server.url}/api/v1/jobs/unknown/events", headers=STREAM)
    assert (gone.status_code, gone.json()["error_code"]) == (404, "not_found")
    bad = httpx2.get(f"{server.url}/api/v1/jobs/{job_id}/events", headers=STREAM | {"Last-Event-ID": "x"})
    assert bad.status_code == 422


@pytest.mark.parametrize("known", ["999999", str(2**53 - 1)])
def test_a_client_that_knows_more_than_the_server(api: Api, start: Callable[..., Server], known: str) -> None:
    """Its number is another server's, or from before a restore: it gets everything, now and from then on."""
    server = start(api)
    job_id = api.submit()
    url = f"{server.url}/api/v1/jobs/{job_id}"
    stream = Stream(server, job_id, **{"Last-Event-ID": known})
    assert [stream.next().get("id") for _ in range(2)] == [None, "1"]
    assert httpx2.get(f"{url}?wait=60&after={known}", timeout=5).json()["version"] == 1
    told = httpx2.get(url, headers={"If-None-Match": f'W/"{known}"'}, params={"wait": 60}, timeout=5)
    assert told.json()["version"] == 1
    finish_all(api, job_id)
    ring(api, job_id)
    stored = api.get(f"/jobs/{job_id}/events")
    rest = stream.until_end()
    assert [b["id"] for b in rest if "id" in b] == [str(event["seq"]) for event in stored["events"][1:]]
    again = Stream(server, job_id, **{"Last-Event-ID": known}).until_end()
    for ended in (rest, again):
        assert json.loads(ended[-1]["data"]) == {"status": "completed", "version": stored["version"]}
    assert [json.loads(b["data"]) for b in again if "id" in b] == stored["events"]
    for asked in ({"params": {"after": known}}, {"headers": {"Last-Event-ID": known}}):
        assert httpx2.get(f"{url}/events", **asked).json() == stored


def waiting(url: str, **headers: str) -> tuple[threading.Thread, list[Any]]:
    """A request in a thread of its own, and where its answer will be."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(httpx2.get(url, headers=headers, timeout=70)))
    thread.start()
    return thread, answers


def listening(api: Api) -> bool:
    return bool(api.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'beacon-api-listen'"
                        " AND datname = current_database() AND state = 'idle'"))  # fmt: skip


def test_a_long_poll_is_answered_by_the_change(api: Api, start: Callable[..., Server]) -> None:
    server = start(api)
    job_id = api.submit()
    url = f"{server.url}/api/v1/jobs/{job_id}"
    assert httpx2.get(f"{url}?wait=5").status_code == 422
    assert httpx2.get(f"{url}?wait=61&after=1").status_code == 422
    assert httpx2.get(f"{url}?wait=60&after=0").json()["version"] == 1, "it differs: at once"
    assert httpx2.get(f"{url}?wait=1&after=1").status_code == 304
    tag = httpx2.get(url).headers["ETag"]
    thread, answers = waiting(f"{url}?wait=60", **{"If-None-Match": tag})
    until(lambda: listening(api))
    api.claim(job_id, "US")
    ring(api, job_id)
    thread.join(4.5)  # the safety net would have needed five seconds
    assert answers[0].status_code == 200
    assert answers[0].json()["version"] == 2
    answer = httpx2.post(f"{url}/cancel", headers=api_admin(), timeout=20)
    assert answer.status_code == 200


def api_admin() -> dict[str, str]:
    from tests.integration.api_client import ADMIN_HEADER

    return ADMIN_HEADER


def test_a_verb_of_another_process_wakes_the_stream(api: Api, start: Callable[..., Server]) -> None:
    """The cancellation is another process's; nothing is rung by the test."""
    server = start(api)
    job_id = api.submit()
    stream = Stream(server, job_id)
    until(lambda: listening(api))
    answer = api.client.post(f"/api/v1/jobs/{job_id}/cancel", headers=api_admin())
    assert answer.status_code == 200
    began = time.monotonic()
    assert stream.until_end()[-1]["event"] == "end"
    assert time.monotonic() - began < 4, "pushed, not found by the safety net"


def test_polling_where_listen_cannot_work(api: Api, start: Callable[..., Server]) -> None:
    server = start(api, DB_POOLER="transaction")
    job_id = api.submit()
    streams = [Stream(server, job_id) for _ in range(3)]
    finish_all(api, job_id)
    for stream in streams:
        assert stream.until_end()[-1]["event"] == "end"
    assert not listening(api)
    assert server.log.read_text().count("LISTEN does not work through a pooler") == 1


def test_a_hundred_wait_the_next_is_told_to_come_again(api: Api, start: Callable[..., Server]) -> None:
    server = start(api, STOP_GRACE_SECONDS="60")
    job_id = api.submit()
    streams = [Stream(server, job_id) for _ in range(MAX_WATCHERS)]
    full = httpx2.get(f"{server.url}/api/v1/jobs/{job_id}/events", headers=STREAM)
    assert (full.status_code, full.json()["error_code"]) == (503, "too_many_streams")
    assert full.headers["Retry-After"]
    waits = httpx2.get(f"{server.url}/api/v1/jobs/{job_id}?wait=5&after=1")
    assert (waits.status_code, waits.json()["error_code"]) == (503, "too_many_streams")
    held = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'beacon-api'"
    )
    assert api.sql(held)[0][0] <= 20  # this test's own API has a pool too
    until(lambda: listening(api))
    listeners = held.replace("'beacon-api'", "'beacon-api-listen'")
    assert api.sql(listeners) == [(1,)], "one LISTEN, however many wait"
    assert httpx2.get(f"{server.url}/health/ready").status_code == 200
    # A client that goes makes room, without anything being written to it.
    streams.pop().connection.close()
    until(lambda: httpx2.get(f"{server.url}/api/v1/jobs/{job_id}?wait=1&after=1").status_code == 304)
    # The server's end is everybody's.
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for stream in streams:
        stream.until_end()
    assert time.monotonic() - began < 10, "told to end: neither the next ping nor the grace ends them so early"
    assert server.process.wait(20) == 0


def test_a_silent_stream_is_pinged(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy closes a connection on which nothing comes."""
    monkeypatch.setattr(streaming, "PING_SECONDS", 0.1)
    job_id = api.submit()
    with api.app.app_context(), services().watchers.watch(job_id, None) as watcher:
        blocks = streaming.stream(api.db, watcher, 1)
        told = [next(blocks) for _ in range(4)]
    assert told[0].startswith("retry:")
    assert told[1].startswith("event: progress")
    assert told[2:] == [": ping\n\n"] * 2


def test_a_lost_listener_is_replaced(api: Api, start: Callable[..., Server]) -> None:
    server = start(api)
    job_id = api.submit()
    stream = Stream(server, job_id)
    until(lambda: listening(api))
    api.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'beacon-api-listen' AND datname = current_database()")  # fmt: skip
    finish_all(api, job_id)
    assert stream.until_end()[-1]["event"] == "end"
    assert "the listening connection was lost" in server.log.read_text()


def test_it_listens_anew_when_the_other_connections_were_given_up(api: Api, conn: psycopg.Connection[Any]) -> None:
    """Its own may lead to the server that was given up, and hear of nothing any more."""
    pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'beacon-api-listen' AND query LIKE '%%LISTEN%%'"
    watchers = Watchers(api.db)
    with watchers.watch(api.submit()):
        (first,) = until(lambda: api.sql(pids))
        with api.db.transaction() as own:
            pid = own.info.backend_pid
        conn.execute(b"SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: api.sql("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid) == [(0,)])
        api.get("/jobs")
        until(lambda: (now := api.sql(pids)) and now[0] != first)
    watchers.stop()


def test_a_submission_tells_the_publishers_by_its_commit(api: Api, conn: psycopg.Connection[Any]) -> None:
    """A repeat changes nothing and tells nobody."""
    conn.execute(f"LISTEN {CELL.channel('outbox')}".encode())
    spec = api.job()
    assert [api.post(spec).status_code, api.post(spec).status_code] == [202, 200]
    conn.execute(f"NOTIFY {CELL.channel('outbox')}, 'the end'".encode())
    assert [notice.payload for notice in conn.notifies(timeout=20, stop_after=2)] == ["", "the end"]


def test_the_bell_is_rung_after_the_commit_alone(api: Api) -> None:
    """A verb that fails rings nothing."""
    rung: list[Any] = []
    db: Database = api.db
    db.notifier.notify = lambda *args, **kwargs: rung.append((args, kwargs))  # type: ignore[method-assign]
    job_id = api.submit()

    def cancel() -> int:
        return api.client.post(f"/api/v1/jobs/{job_id}/cancel", headers=api_admin()).status_code

    assert [cancel(), cancel()] == [200, 409]
    assert rung == [(([job_id],), {})]
