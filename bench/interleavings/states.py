"""The states before the verbs, made by the product's verbs."""

from collections.abc import Callable

from bench.interleavings import verbs
from bench.interleavings.verbs import JOB, Scene

Prepare = Callable[[Scene], None]


def nothing(scene: Scene) -> None:
    """Make no job."""


def queued(regions: str = "US", questions: int = 1) -> Prepare:
    """Make an accepted job whose messages wait in the outbox."""

    def prepare(scene: Scene) -> None:
        verbs.accept(verbs.job(JOB, regions, questions)).do(scene.db, scene)

    return prepare


def published(regions: str = "US", questions: int = 1) -> Prepare:
    """Make an accepted job whose messages are in Redis."""

    def prepare(scene: Scene) -> None:
        queued(regions, questions)(scene)
        verbs.publish().do(scene.db, scene)

    return prepare


def claimed(regions: str = "US", questions: int = 1, *, of: str | None = None) -> Prepare:
    """Make a job whose regions `of` (default: all) are held by workers that have started their calls."""

    def prepare(scene: Scene) -> None:
        published(regions, questions)(scene)
        for region in (of or regions).split():
            take(scene, region)

    return prepare


def expired(regions: str = "US", questions: int = 1, attempts: int = 1) -> Prepare:
    """Make a job that was claimed `attempts` times. Each lease expired a second ago; all but the last were cleared."""

    def prepare(scene: Scene) -> None:
        published(regions, questions)(scene)
        for number in range(attempts):
            if number:
                verbs.take_back().do(scene.db, scene)
                verbs.publish().do(scene.db, scene)
            for region in regions.split():
                take(scene, region)
            scene.world.look.execute("UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")

    return prepare


def failed(regions: str = "US", *, also: str = "") -> Prepare:
    """Make a job whose `regions` have failed and ended, while workers hold the regions `also`."""

    def prepare(scene: Scene) -> None:
        claimed(f"{regions} {also}")(scene)
        for region in regions.split():
            verbs.record(region, ok=False).do(scene.db, scene)

    return prepare


def completed(regions: str = "US EU") -> Prepare:
    """Make a job whose regions have recorded their answers."""

    def prepare(scene: Scene) -> None:
        claimed(regions)(scene)
        for region in regions.split():
            verbs.record(region).do(scene.db, scene)

    return prepare


def emptied(state: Prepare) -> Prepare:
    """Make `state`, and empty Redis."""

    def prepare(scene: Scene) -> None:
        state(scene)
        scene.world.redis.flushdb()

    return prepare


def expired_key(key: str) -> Prepare:
    """Make a job with an expired idempotency key."""

    def prepare(scene: Scene) -> None:
        verbs.accept(verbs.job(), key).do(scene.db, scene)
        scene.world.look.execute("UPDATE idempotency_keys SET expires_at = clock_timestamp() - interval '1 s'")

    return prepare


def old(state: Prepare, days: int) -> Prepare:
    """Make `state`, with all times `days` days earlier."""

    def prepare(scene: Scene) -> None:
        state(scene)
        for table, columns in {
            "jobs": "created_at updated_at started_at completed_at queued_until",
            "outbox": "created_at available_at processed_at",
            "job_events": "at",
            "executions": "created_at started_at completed_at",
            "region_runs": "started_at deadline finished_at",
        }.items():
            earlier = ", ".join(f"{name} = {name} - interval '{days} days'" for name in columns.split())
            scene.world.look.execute(f"UPDATE {table} SET {earlier}".encode())  # noqa: S608  the names above

    return prepare


def take(scene: Scene, region: str) -> None:
    """Claim a region as its worker, and store the result of the claim for the verbs."""
    rows, stored, _ = verbs.claim(region).do(scene.db, scene)
    scene.claims[region] = (rows[0], stored)
