"""Poisoned messages, as whoever can write to Redis could leave them: nothing runs, the job ends, the worker lives."""

import json
import os
import pickle
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from marks import Pickled
from rq.job import JobStatus

from runner_core.settings import Settings
from runner_queue.broker import Broker
from runner_queue.message import ForeignCall, envelope_of
from runner_queue.push import OutboxRow
from runner_worker.rq.job import RegionJob

HERE = Path(__file__).parent
TOPIC = "beacon-us"
QUEUE = f"rq:queue:{TOPIC}"
RUN = "runner_worker.tasks.run_region"
ENVELOPE = {"id": "job-1", "enqueued_at": "2026-11-24T07:00:00.000Z", "attempt": 0, "request_id": ""}
GOOD = json.dumps([RUN, None, [], ENVELOPE]).encode()


def call(*parts: object) -> bytes:
    return json.dumps(parts).encode()


def poisons(hook: str) -> dict[str, dict[str, object]]:
    """Job hashes by what is wrong with them."""
    webhooks = [{"url": f"{hook}/{when}", "job_status": when} for when in ("finished", "failed")]
    return {
        "another function": {"data": call("marks.touch", None, ["function"], {})},
        "another function, deflated": {"data": zlib.compress(call("marks.touch", None, ["function"], {}))},
        "a builtin": {"data": call("eval", None, ["__import__('marks').touch('builtin')"], {})},
        "an attribute below ours": {"data": call("runner_worker.tasks.os.mkdir", None, ["mkdir"], {})},
        "an instance": {"data": call(RUN, {"touch": 1}, [], ENVELOPE)},
        "more arguments": {"data": call(RUN, None, ["x"], ENVELOPE)},
        "another envelope": {"data": call(RUN, None, [], {**ENVELOPE, "region": "EU"})},
        "a pickle": {"data": pickle.dumps(Pickled())},
        "a deflated pickle": {"data": zlib.compress(pickle.dumps((RUN, Pickled(), (), ENVELOPE)))},
        "a zlib bomb": {"data": zlib.compress(b"[" * 50_000_000)},
        "callbacks of a good call": {
            "data": GOOD,
            "success_callback_name": "marks.success",
            "failure_callback_name": "marks.failure",
            "stopped_callback_name": "marks.failure",
        },
        "callbacks of a bad call": {
            "data": call("marks.nothing", None, [], {}),
            "success_callback_name": "marks.success",
            "failure_callback_name": "marks.failure",
        },
        "webhooks of a good call": {"data": GOOD, "webhooks": json.dumps(webhooks)},
        "webhooks of a bad call": {"data": b"[", "webhooks": json.dumps(webhooks)},
        "a pickled result and meta": {
            "data": b"{}",
            "meta": pickle.dumps(Pickled()),
            "result": pickle.dumps(Pickled()),
        },
        "endless retries": {"data": b"null", "retries_left": 1_000_000, "retry_intervals": "[0]"},
        "repeats": {"data": GOOD, "repeats_left": 1_000_000, "repeat_intervals": "[0]"},
        "numbers that are none": {
            "data": GOOD,
            "timeout": "soon",
            "result_ttl": "x",
            "failure_ttl": "y",
            "status": "?",
        },
        "dates that are none": {"data": GOOD, "created_at": "never", "enqueued_at": b"\xff", "dependency_ids": "{"},
        "an origin that is none": {"data": GOOD, "origin": b"\xff\xfe"},
        "a field that is no text": {"data": b"\x00", b"\xff": b"\xff"},  # type: ignore[dict-item]
        "no data": {"origin": TOPIC},
    }


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """A web server that notes which paths are asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


def leave(client: "redis.Redis[bytes]", fields: dict[str, object]) -> str:
    id_ = uuid4().hex
    client.hset(f"rq:job:{id_}", mapping={"origin": TOPIC, "status": "queued", "created_at": "x", **fields})  # type: ignore[arg-type]
    client.rpush(QUEUE, id_)
    return id_


def push_good(url: str, job_id: str) -> None:
    envelope = {**ENVELOPE, "id": job_id, "request_id": "req-9"}
    broker = Broker(Settings.from_env({"REDIS_URL": url}))
    assert broker.push([OutboxRow(1, TOPIC, envelope, uuid4().hex, 0)]) == {}
    broker.close()


def environment(url: str, marks: Path) -> dict[str, str]:
    return {
        **os.environ,
        "RECORD_URL": url,
        "MARKS": str(marks),
        "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}",
    }


def run_stock_worker(url: str, marks: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """RQ's own program on the queue until it is empty."""
    command = [sys.executable, str(HERE / "stock_worker.py"), "worker", "--url", url, "--burst", *options, TOPIC]
    return subprocess.run(command, env=environment(url, marks), cwd=marks, capture_output=True, text=True, timeout=120)


def submitted(client: "redis.Redis[bytes]") -> list[list[str]]:
    return [message for batch in client.lrange("submitted", 0, -1) for message in json.loads(batch)["batch"]]


@pytest.mark.parametrize("kind", ["rq.worker.Worker", "rq.worker.SimpleWorker"])
def test_a_stock_worker_runs_what_the_broker_pushed(
    kind: str, redis_url: str, client: "redis.Redis[bytes]", tmp_path: Path
) -> None:
    for number in range(5):
        push_good(redis_url, f"job-{number}")
    ids = [id_.decode() for id_ in client.lrange(QUEUE, 0, -1)]
    ended = run_stock_worker(redis_url, tmp_path, "--serializer", "json", "--worker-class", kind)
    assert ended.returncode == 0, ended.stderr
    assert submitted(client) == [[f"job-{number}", "US", "req-9", id_] for number, id_ in enumerate(ids)]
    for id_ in ids:
        assert client.hget(f"rq:job:{id_}", "status") == b"finished"
        assert 0 < client.ttl(f"rq:job:{id_}") <= 300


def test_the_poisons_do_bite_a_stock_job_class(
    redis_url: str, client: "redis.Redis[bytes]", hook: tuple[str, list[str]], tmp_path: Path
) -> None:
    """Without this, the tests below could pass because a poison is spoiled."""
    bait = poisons(hook[0])
    for name in ("another function", "a builtin", "callbacks of a good call", "callbacks of a bad call"):
        leave(client, {**bait[name], "created_at": "2026-11-24T07:00:00.000000Z"})
    leave(client, {**bait["webhooks of a good call"], "created_at": "2026-11-24T07:00:00.000000Z"})
    run_stock_worker(redis_url, tmp_path, "--serializer", "json")
    assert {path.name for path in tmp_path.iterdir()} == {"function", "builtin", "success", "failure"}
    assert hook[1] == ["/finished"]


@pytest.mark.parametrize("kind", ["rq.worker.Worker", "rq.worker.SimpleWorker"])
@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_stock_worker_with_our_job_class_runs_no_poison(
    kind: str,
    serializer: str,
    redis_url: str,
    client: "redis.Redis[bytes]",
    hook: tuple[str, list[str]],
    tmp_path: Path,
) -> None:
    bait = poisons(hook[0])
    left = {leave(client, fields): name for name, fields in bait.items()}
    client.set("rq:job:no-hash", "a string")
    client.rpush(QUEUE, "no-hash", "../not an id")
    abandoned = uuid4().hex  # maintenance would run the failure callback of an expired job
    client.hset(
        f"rq:job:{abandoned}",
        mapping={"data": GOOD, "status": "started", "origin": TOPIC, "failure_callback_name": "marks.failure"},
    )
    client.zadd(f"rq:wip:{TOPIC}", {f"{abandoned}:{uuid4().hex}": 1})
    push_good(redis_url, "the-good-one")
    options = ("--serializer", serializer, "--job-class", "runner_worker.job.RegionJob", "--worker-class", kind)
    ended = run_stock_worker(redis_url, tmp_path, *options)
    assert "unhandled exception" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
    assert hook[1] == []
    ran = submitted(client)
    assert ran[-1][0] == "the-good-one", ended.stderr
    assert client.llen(QUEUE) == 0
    # The one call that is allowed is made whatever else the hash says, once, but for a queue that is no region's.
    runnable = {id_ for id_, name in left.items() if bait[name].get("data") == GOOD and "origin" not in bait[name]}
    assert {dispatch_id for _, _, _, dispatch_id in ran[:-1]} == runnable
    assert len(ran) == len(runnable) + 1
    for id_, name in left.items():
        if name != "no data":  # to RQ there is no such job
            assert client.hget(f"rq:job:{id_}", "status") == (b"finished" if id_ in runnable else b"failed"), name


def test_the_job_class_itself_refuses(client: "redis.Redis[bytes]", hook: tuple[str, list[str]]) -> None:
    for name, fields in poisons(hook[0]).items():
        if name == "no data":
            continue
        job = RegionJob.fetch(leave(client, fields), client)
        assert (job.success_callback, job.failure_callback, job.stopped_callback, job.webhooks) == (None,) * 3 + ([],)
        assert (job.retries_left, job.repeats_left, job.ttl, job.timeout) == (None, None, None, -1)
        job.webhooks = ["http://192.0.2.1/"]  # type: ignore[list-item]
        job.send_webhooks(JobStatus.FAILED)
        if fields["data"] != GOOD:
            with pytest.raises(ForeignCall):
                _ = job.func


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a b"},
        {"id": ""},
        {"id": "x" * 256},
        {"id": 7},
        {"request_id": "\x00"},
        {"request_id": "\ud800"},
        {"request_id": "x" * 256},
        {"attempt": True},
        {"attempt": "0"},
        {"enqueued_at": None},
    ],
)
def test_an_envelope_that_postgresql_might_choke_on_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ForeignCall):
        envelope_of(call(RUN, None, [], {**ENVELOPE, **change}))
    assert envelope_of(zlib.compress(GOOD)) == envelope_of(GOOD) == ENVELOPE
