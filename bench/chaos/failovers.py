"""The rows about failover: each has servers of its own, something that happens to them, and what may be lost then.

Two PostgreSQL servers replicate, three Sentinels watch two Valkeys, and a region's network is a pair of proxies. What
happens takes the time that a manager of servers takes: a standby is promoted three seconds after its primary's end.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from bench.chaos.arrangements import asynchronous, guarded, relayed, synchronous, tell
from bench.chaos.deployment import Addresses, Deployment, Servers, through_proxies
from bench.chaos.far_workers import cut_off
from bench.chaos.faults import Fault, Lift, lead_to_standby
from bench.chaos.scene import BURST, Scene
from bench.chaos.standby import follow

PROMOTED_SECONDS = 3.0  # from the end of a primary until its standby is promoted
LATE_SECONDS = 10.0


@dataclass(frozen=True)
class Failover:
    """One row. `may_lose`: what was acknowledged may be lost, because its copy came later; it is counted and said.

    `beside` starts what the row needs besides the stack. `counts` are copies of the Procfile's lines that differ.
    """

    fault: Fault
    arrange: Callable[[Servers], Addresses] = through_proxies
    may_lose: bool = False
    beside: Callable[[Deployment, ExitStack], object] = lambda deployment, stop: None
    counts: tuple[tuple[str, int], ...] = ()


def all_failovers() -> list[Failover]:
    """Return every row."""
    two, apart = "an address with two hosts", "asynchronous standby, the last commits may be lost"
    return [
        Failover(
            Fault(
                "primary_killed_sync", f"PostgreSQL: primary killed, standby promoted; synchronous standby; {two}", kill
            ),
            synchronous,
        ),
        Failover(
            Fault("primary_killed_async", f"PostgreSQL: primary killed, standby promoted; {apart}; {two}", kill),
            asynchronous,
            may_lose=True,
        ),
        Failover(
            Fault("switched_over", f"PostgreSQL: clean switchover; synchronous standby; {two}", switch_over),
            synchronous,
        ),
        Failover(
            Fault(
                "address_late",
                f"PostgreSQL: clean switchover; its one address leads to the old primary, now a standby, for "
                f"{LATE_SECONDS:g} s more",
                switch_over_late,
                LATE_SECONDS,
                from_end=True,
            ),
            relayed,
        ),
        Failover(
            Fault(
                "read_only",
                f"PostgreSQL: its address leads to a hot standby (25006), for {LATE_SECONDS:g} s",
                lead_to_standby,
                LATE_SECONDS,
                from_end=True,
            )
        ),
        Failover(
            Fault(
                "standby_away",
                "PostgreSQL: its only synchronous standby is away for 20 s",
                take_standby_away,
                20.0,
                from_end=True,
            ),
            synchronous,
        ),
        Failover(
            Fault(
                "old_primary_back",
                f"PostgreSQL: primary killed, standby promoted, old primary back; {apart}; {two}",
                come_back,
            ),
            asynchronous,
            may_lose=True,
        ),
        Failover(
            Fault(
                "region_cut",
                "network: a region's workers are cut off for 60 s",
                cut,
                60.0,
                from_end=True,
            ),
            beside=cut_off,
            counts=(("worker_asia", 0),),
        ),
        Failover(
            Fault("sentinel_failover", "Redis: primary killed, with messages queued; Sentinels", kill_redis), guarded
        ),
        Failover(Fault("redis_frozen", "Redis: primary frozen for 20 s; Sentinels", freeze_redis, 20.0), guarded),
    ]


def kill(scene: Scene) -> None:
    """Kill the primary while jobs are under way, and promote the standby."""
    scene.client.submit(BURST)
    scene.open_region()
    scene.strike()
    scene.deployment.postgres.stop(immediate=True)
    time.sleep(PROMOTED_SECONDS)
    _promote(scene.deployment)


def switch_over(scene: Scene) -> None:
    """Stop the primary, which first sends all that it has to its standby, and promote that."""
    scene.client.submit(BURST)
    scene.open_region()
    scene.strike()
    scene.deployment.postgres.stop()
    _promote(scene.deployment)


def switch_over_late(scene: Scene) -> Lift:
    """Switch over, and let the old primary come back as a standby. Move the address later."""
    old = scene.deployment.postgres
    switch_over(scene)
    follow(scene.deployment.home, scene.deployment.postgres)
    old.start()
    return lambda: scene.deployment.lead_database_to(scene.deployment.postgres)


def take_standby_away(scene: Scene) -> Lift:
    """Stop the only synchronous standby: commits wait."""
    standby = scene.deployment.standby.server
    assert standby is not None
    scene.client.submit(BURST)
    scene.open_region()
    scene.strike()
    standby.stop(immediate=True)
    return standby.start


def come_back(scene: Scene) -> None:
    """Kill the primary, promote the standby, and start the old primary when the new one serves; end all connections."""
    deployment, old = scene.deployment, scene.deployment.postgres
    kill(scene)
    scene.later_job()
    old.start()
    deployment.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'beacon\\_%'")


def cut(scene: Scene) -> Lift:
    """Let no byte pass between a region's workers and both servers."""
    proxies = [scene.deployment.proxies[name] for name in ("far postgres", "far redis")]
    scene.client.submit(BURST)
    scene.open_region()
    scene.strike()
    for proxy in proxies:
        proxy.black_hole()

    def heal() -> None:
        for proxy in proxies:
            proxy.heal()

    return heal


def kill_redis(scene: Scene) -> None:
    """Kill the primary that the Sentinels watch, while messages are queued."""
    with scene.queued_messages():
        scene.strike()
        scene.deployment.valkey.kill()


def freeze_redis(scene: Scene) -> Lift:
    """Stop the primary's process; the Sentinels promote its replica. Then let it go on."""
    pid = scene.deployment.valkey.pid
    assert pid is not None
    with scene.queued_messages():
        scene.strike()
        os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def _promote(deployment: Deployment) -> None:
    """Promote the standby, which becomes the deployment's primary. The old primary is not started again by itself."""
    standby = deployment.standby.server
    assert standby is not None
    tell(standby, "SELECT pg_promote()")
    deployment.local.servers.embedded.remove(deployment.postgres)
    deployment.postgres = standby
