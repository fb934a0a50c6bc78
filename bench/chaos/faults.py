"""The faults. A function causes each one, and returns the function that ends it, or None if it needs no end.

A fault that must meet work in progress waits for the work first.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.chaos.deployment import FAILURES, set_rules, slow_answers
from bench.chaos.modes import Spans
from bench.chaos.scene import BURST, Scene

Lift = Callable[[], object]


@dataclass(frozen=True)
class Fault:
    """A fault that lasts `seconds`. `from_end`: whether the recovery is measured from its end."""

    name: str
    told: str
    cause: Callable[[Scene], Lift | None]
    seconds: float = 0.0
    from_end: bool = False


def all_faults(lease_seconds: float, last: Spans) -> list[Fault]:
    """Return every fault that a run must cause, and `none`, which is measured in the same way without a fault."""
    lost = last.swallowed
    proxied = [
        Fault(f"{name}_{kind}", f"{title}: {told}", partial(_proxy, name=name, kind=kind), seconds, from_end=True)
        for name, title in (("postgres", "PostgreSQL"), ("redis", "Redis"), ("provider", "provider"))
        for kind, told, seconds in (
            ("delayed", f"every packet 0.2 s late, for {last.delayed:g} s", last.delayed),
            ("cut", "connections reset in the middle of a message", last.cut),
            ("swallowed", f"requests arrive, answers are lost, for {lost:g} s", lost),
            ("refused", f"connections refused for {last.refused:g} s", last.refused),
            ("black_holed", f"nothing passes for {last.black_holed:g} s", last.black_holed),
        )
    ]
    return [
        Fault("none", "nothing happens (what the same measurement gives)", Scene.strike),
        Fault("api_killed", "API: SIGKILL of a gunicorn worker or of the whole server", _kill_api),
        Fault(
            "api_swallowed", f"API: its answers to clients are lost, for {lost:g} s", _proxy_api, lost, from_end=True
        ),
        Fault("publisher_killed", "publisher: SIGKILL of one or of both", _kill_publisher),
        Fault("worker_killed", "worker: SIGKILL during calls", _kill_worker),
        Fault("worker_paused", "worker: SIGSTOP past its lease, then SIGCONT", _pause_worker, lease_seconds + 2),
        Fault("worker_stopped", "worker: SIGTERM during calls, as a deploy does", _stop_worker),
        Fault("redis_flushed", "Redis: FLUSHALL, with messages queued", _flush),
        Fault(
            "redis_emptied",
            "Redis: killed with messages queued, started again empty",
            partial(_restart_redis, empty=True),
        ),
        Fault(
            "redis_outdated",
            "Redis: killed with messages queued, started from an older AOF",
            partial(_restart_redis, empty=False),
        ),
        Fault("postgres_crashed", "PostgreSQL: immediate shutdown, started again", _crash_postgres),
        Fault("postgres_terminated", "PostgreSQL: pg_terminate_backend of every connection", _terminate),
        Fault(
            "server_read_only",
            f"PostgreSQL: its address leads to a hot standby (25006), for {last.read_only:g} s",
            lead_to_standby,
            last.read_only,
            from_end=True,
        ),
        *proxied,
        Fault(
            "provider_failing",
            f"provider: 503, 429, half a body, resets, for {last.failing:g} s",
            _fail_provider,
            last.failing,
            from_end=True,
        ),
    ]


def _kill_api(scene: Scene) -> None:
    """SIGKILL one of the server's workers, or the master with all workers, during requests."""
    (server,) = scene.running("api")
    workers = [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]
    scene.client.submit(BURST)
    scene.open_region()
    time.sleep(scene.dice.uniform(0.0, 0.03))
    scene.strike()
    if workers and scene.dice.random() < 0.5:
        os.kill(scene.dice.choice(workers), signal.SIGKILL)
    else:
        for pid in (server, *workers):
            os.kill(pid, signal.SIGKILL)


def _kill_publisher(scene: Scene) -> None:
    publishers = scene.running("publisher")
    scene.client.submit(BURST)
    scene.open_region()
    time.sleep(scene.dice.uniform(0.0, 0.03))
    scene.strike()
    for pid in scene.dice.sample(publishers, scene.dice.choice((1, len(publishers)))):
        os.kill(pid, signal.SIGKILL)


def _kill_worker(scene: Scene) -> None:
    scene.frozen_holder(signal.SIGKILL)


def _stop_worker(scene: Scene) -> None:
    pid = scene.frozen_holder(signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)


def _pause_worker(scene: Scene) -> Lift:
    pid = scene.frozen_holder(signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def _flush(scene: Scene) -> None:
    with scene.queued_messages():
        scene.strike()
        scene.deployment.flush()


def _restart_redis(scene: Scene, *, empty: bool) -> None:
    """Kill Redis while messages are queued; start it with no data (`empty`) or with an older copy of its data."""
    valkey, old = scene.deployment.valkey, scene.deployment.home / "old-aof"
    if not empty:
        shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(valkey.appended, old)
        time.sleep(scene.dice.uniform(0.5, 2.0))
    with scene.queued_messages():
        scene.strike()
        valkey.kill()
        if empty:
            shutil.rmtree(valkey.appended)
        valkey.start(None if empty else old)


def _crash_postgres(scene: Scene) -> None:
    scene.open_region()
    scene.strike()
    scene.deployment.postgres.restart(immediate=True)


def _terminate(scene: Scene) -> None:
    scene.open_region()
    scene.strike()
    scene.deployment.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'beacon\\_%'")


def lead_to_standby(scene: Scene) -> Lift:
    """Point the database's address to a standby, and back later. Both close every connection."""
    deployment = scene.deployment
    standby = deployment.standby.start()
    scene.client.submit(BURST)
    scene.open_region()
    scene.strike()
    deployment.lead_database_to(standby)

    def back() -> None:
        deployment.lead_database_to(deployment.postgres)
        deployment.standby.stop()

    return back


def _proxy(scene: Scene, *, name: str, kind: str) -> Lift:
    proxy = scene.deployment.proxies[name]
    scene.strike()
    match kind:
        case "delayed":
            proxy.delay(0.2)
        case "cut":
            proxy.cut(scene.dice.randint(1, 3000))
        case "swallowed":
            proxy.swallow()
        case "refused":
            proxy.refuse()
        case "black_holed":
            proxy.black_hole()
    return proxy.heal


def _proxy_api(scene: Scene) -> Lift:
    scene.strike()
    scene.deployment.proxies["api"].swallow()
    return scene.deployment.proxies["api"].heal


def _fail_provider(scene: Scene) -> Lift:
    scene.strike()
    url, usual = scene.deployment.provider_url, slow_answers(scene.deployment.answer_seconds)
    set_rules(url, FAILURES + usual)
    return lambda: set_rules(url, usual)
