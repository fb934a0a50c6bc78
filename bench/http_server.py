"""POST /jobs against the same server's route that does nothing, with 50 connections; and which server serves better."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import environment
from bench.testbed import Testbed
from runner_cli.child import end, free_port, spawn
from runner_cli.home import CHECKOUT
from runner_core.keys import PrivateKey
from runner_core.signing import sign

CONNECTIONS = 50  # with 16, a fifth of two cores is idle while submissions wait for their commit
STREAMS = 100
BODIES_PER_SECOND = 2500  # more than any server here takes
GUNICORN = [sys.executable, "-m", "runner_api"]
START_SECONDS = 30.0


@contextlib.contextmanager
def running(testbed: Testbed, command: list[str] = GUNICORN) -> Iterator[tuple[int, int]]:
    """Start the API by `command`, and yield its port and pid when it is ready."""
    port = free_port()
    env = {**testbed.env, "REGIONS_FILE": str(testbed.regions()), "PORT": str(port)}
    if command is not GUNICORN:
        site = Path(next(p for p in sys.path if p.endswith("site-packages")))
        env |= {"PYTHONPATH": f"{CHECKOUT}{os.pathsep}{site}"}
    with testbed.log("api").open("wb") as log:
        process = spawn(
            [part.replace("{port}", str(port)) for part in command],
            death_signal=signal.SIGKILL,
            env=env,
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port)
        yield port, process.pid
    finally:
        end(process, (signal.SIGTERM, 10.0))


def granian() -> list[str]:
    """Return the command of Granian with as many processes and threads as gunicorn."""
    flags = ["--interface", "wsgi", "--workers", "2", "--blocking-threads", "128", "--port", "{port}", "--no-log"]
    return [str(environment.program("granian")), *flags, "bench.wsgi:app"]


def load(port: int, seconds: float, bodies: Path | None = None) -> dict[str, Any]:
    """Run the client process and return its result. Raises RuntimeError if a request was refused."""
    command = [sys.executable, "-m", "bench.http_load", "127.0.0.1", str(port), str(CONNECTIONS), str(seconds)]
    command += [str(bodies)] if bodies else []
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-1000:])
    result: dict[str, Any] = json.loads(done.stdout)
    if set(result["statuses"]) - {"200", "202"}:
        raise RuntimeError(f"requests were refused: {result['statuses']}")
    return result


def signed_jobs(testbed: Testbed, count: int) -> list[bytes]:
    """Return `count` different jobs, signed with a key that the API trusts."""
    key = PrivateKey.load(testbed.home / "signing.pem")
    now = datetime.now(UTC).isoformat()
    return [json.dumps(sign(_job(now), key)).encode() for _ in range(count)]


def _job(now: str) -> dict[str, Any]:
    return {
        "id": f"http-{uuid.uuid4().hex}",
        "version": "v1",
        "benchmark": {"name": "bench", "container": {"image": "none"}, "input": {"hash": "sha256:placeholder"}},
        "constraints": {"regions": ["US"], "timeout": 600_000_000_000, "provider_timeout": 300_000_000_000},
        "questions": ["What is the capital of France?"],
        "models": ["m1"],
        "metadata": {"timestamp": now, "nonce": uuid.uuid4().hex, "created_by": "bench"},
    }


def post_against_noop(testbed: Testbed, port: int, seconds: float) -> dict[str, Any]:
    """Measure one round: first the route that does nothing, then submissions."""
    bodies = testbed.home / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(signed_jobs(testbed, int(BODIES_PER_SECOND * seconds))))
    return {"noop": load(port, seconds), "post": load(port, seconds, bodies)}


@contextlib.contextmanager
def open_streams(testbed: Testbed, port: int, count: int = STREAMS) -> Iterator[int]:
    """Open `count` connections that read a job's event stream; yield how many the server accepted."""
    job_id = testbed.submit(1, staged=False)[0]
    request = f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
    sockets = []
    try:
        for _ in range(count):
            sockets.append(socket.create_connection(("127.0.0.1", port)))
            sockets[-1].sendall(request.encode())
        deadline = time.monotonic() + START_SECONDS
        yield sum(_is_taken(reader, deadline) for reader in sockets)
    finally:
        for reader in sockets:
            reader.close()


def _is_taken(reader: socket.socket, deadline: float) -> bool:
    reader.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        return reader.recv(4096).startswith(b"HTTP/1.1 200")
    except TimeoutError:
        return False


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            probe.sendall(b"GET /health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            if probe.recv(4096).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.1)
    raise TimeoutError("the API was not ready in time")
