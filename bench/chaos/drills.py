"""Measures two recoveries: a long queue is lost and staged again; a killed worker's regions are claimed again."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.chaos.deployment import Deployment, set_rules, slow_answers
from bench.chaos.scene import Scene
from bench.chaos.storm import Injection
from tests.loopback_regions import REGIONS

LEAST_QUEUED = 1000
AT_ONCE = 50  # jobs submitted before the queue's length is read again
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.1
NOTICED_SECONDS, STAGED_SECONDS, AFTER_LEASE_SECONDS = 2.0, 10.0, 2.0  # what is promised


@dataclass(frozen=True)
class Drill:
    """One loss of the queue. `noticed` and `staged`: seconds until the first and the last region were staged again."""

    told: str
    queued: int
    noticed: float
    staged: float


def drills(scene: Scene) -> list[Drill]:
    """Let the queue grow while the provider hangs, and lose it, twice. At the end let the provider answer again."""
    deployment = scene.deployment
    old = deployment.home / "older-aof"
    shutil.copytree(deployment.valkey.appended, old)

    def restart() -> None:
        deployment.valkey.kill()
        deployment.valkey.start(old)

    set_rules(deployment.provider_url, [{"fault": "hang"}])
    try:
        _until(lambda: _filled(scene), "the queue is long")
        scene.client.pause()
        return [
            _lose(scene, "Redis: FLUSHALL", deployment.flush),
            _lose(scene, "Redis: killed, started again from an older AOF", restart),
        ]
    finally:
        set_rules(deployment.provider_url, slow_answers(deployment.answer_seconds))
        deployment.release_answers()
        scene.client.resume()


def reclaimed(deployment: Deployment, injections: Sequence[Injection]) -> list[float]:
    """Return the seconds from each SIGKILL of a worker to the next claim of each region that the worker held."""
    return [
        row["at"] - injection.moment
        for injection in injections
        if injection.fault.name == "worker_killed" and injection.recovered
        for row in deployment.ask(RECLAIMED, injection.moment, injection.recovered)
    ]


def too_late(drilled: Sequence[Drill], again: Sequence[float], lease_seconds: float) -> list[str]:
    """Return a sentence for each recovery that took longer than promised."""
    found = []
    for drill in drilled:
        if drill.noticed > NOTICED_SECONDS:
            found.append(f"{drill.told}: noticed after {drill.noticed:.1f} s, {NOTICED_SECONDS:g} are promised")
        if drill.staged > STAGED_SECONDS:
            found.append(f"{drill.told}: staged again after {drill.staged:.1f} s, {STAGED_SECONDS:g} are promised")
    most = lease_seconds + AFTER_LEASE_SECONDS
    found += [f"a killed worker's region was claimed after {s:.1f} s, {most:g} are promised" for s in again if s > most]
    return found


def _filled(scene: Scene) -> bool:
    if _depth(scene.deployment) >= LEAST_QUEUED:
        return True
    scene.client.submit(AT_ONCE)
    return False


def _lose(scene: Scene, told: str, blow: Callable[[], None]) -> Drill:
    """Lose the queue by `blow` and wait until it is as long as before. The times are from the database."""
    deployment = scene.deployment
    queued = _depth(deployment)
    scene.strike()
    blow()
    _until(lambda: deployment.ask(STAGED, scene.struck)[0]["regions"] >= queued, f"all is staged again after {told}")
    row = deployment.ask(STAGED, scene.struck)[0]
    _until(lambda: _depth(deployment) >= queued, f"all is queued again after {told}")
    return Drill(told, queued, row["first"] - scene.struck, row["last"] - scene.struck)


def _depth(deployment: Deployment) -> int:
    """Return how many messages wait in all queues, once the number no longer changes."""
    while True:
        looks = []
        for _ in range(2):
            looks.append(deployment.queued(*REGIONS))
            time.sleep(LOOK_SECONDS)
        if looks[0] == looks[1]:
            return looks[0]


def _until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(LOOK_SECONDS)


STAGED = """
SELECT count(DISTINCT (job_id, region)) AS regions,
       extract(epoch FROM min(at))::double precision AS first, extract(epoch FROM max(at))::double precision AS last
  FROM job_events
 WHERE type = 'region_staged' AND detail ->> 'reason' = 'message_lost' AND at > to_timestamp(%s)"""
RECLAIMED = """
SELECT extract(epoch FROM c.at)::double precision AS at
  FROM job_events e
 CROSS JOIN LATERAL (SELECT n.at FROM job_events n
                      WHERE n.job_id = e.job_id AND n.region = e.region AND n.type = 'region_claimed' AND n.seq > e.seq
                      ORDER BY n.seq LIMIT 1) c
 WHERE e.type = 'lease_expired' AND e.at BETWEEN to_timestamp(%s) AND to_timestamp(%s)"""
