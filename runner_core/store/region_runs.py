"""Calls the statements of region_runs.sql. `held` is always a sequence of (job id, region, lease token)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection, Cursor

from runner_core.queries import Row, rows, run
from runner_core.store.answers import CallKey

Held = tuple[str, str, str]


class Room(NamedTuple):
    """How many calls of one model the claim may start in a region, because its provider has room for so many."""

    region: str
    model_id: str
    provider_id: str
    calls: int


def claim(
    conn: Connection[Any],
    tokens: Mapping[tuple[str, str], str],
    *,
    worker: str,
    lease_seconds: float,
    max_attempts: int,
    rooms: Sequence[Room] = (),
    places: int = 0,
) -> Cursor[Row]:
    """Claim the region runs of these (job id, region) pairs; those that can't be claimed give no row. Locks the jobs
    first, then the runs: the claim computes its leases before it would wait for a run, for example for a heartbeat's.

    The calls of first attempts are started too, as far as `rooms` has room, and at most `places` in all.

    The caller chooses a UUID as the token of each lease. So a claim can be repeated after a lost reply: the same tokens
    find the leases again.
    """
    ordered = sorted(tokens)
    job_ids = [w[0] for w in ordered]
    run(conn, "jobs.lock", job_ids=sorted(set(job_ids)))
    hold(conn, [(*w, tokens[w]) for w in ordered])
    return run(
        conn,
        "region_runs.claim",
        job_ids=job_ids,
        regions=[w[1] for w in ordered],
        tokens=[tokens[w] for w in ordered],
        worker=worker,
        lease_seconds=lease_seconds,
        max_attempts=max_attempts,
        room_regions=[room.region for room in rooms],
        room_models=[room.model_id for room in rooms],
        room_providers=[room.provider_id for room in rooms],
        rooms=[room.calls for room in rooms],
        places=places,
    )


def begun(claimed: Sequence[Row]) -> set[CallKey]:
    """Return the keys of the calls that `claim` has started."""
    return {(row["job_id"], row["region"], *call) for row in claimed for call in row["begun"]}


def stored(conn: Connection[Any], wanted: Sequence[tuple[str, str]]) -> list[Row]:
    """Return the results of earlier attempts: executions (question_id null) and ended answers."""
    return rows(conn, "region_runs.stored", job_ids=[w[0] for w in wanted], regions=[w[1] for w in wanted])


def hold(conn: Connection[Any], held: Sequence[Held]) -> Cursor[Row]:
    """Lock the open runs of `held` in the lock order. Each row says whether its token still has the lease."""
    return run(conn, "region_runs.hold", **_columns(held))


def beat(conn: Connection[Any], held: Sequence[Held], lease_seconds: float) -> None:
    """Extend the leases that these tokens still have."""
    run(conn, "region_runs.beat", **_columns(held), lease_seconds=lease_seconds)


def lost(conn: Connection[Any], held: Sequence[Held]) -> list[str]:
    """Return the tokens that have lost their lease."""
    return [row["token"] for row in rows(conn, "region_runs.lost", **_columns(held))]


def release(conn: Connection[Any], held: Sequence[Held], unbegun: Sequence[bool]) -> list[Row]:
    """Release runs. A run in which no call has begun gets its attempt back. The caller holds the jobs' row locks."""
    return rows(conn, "region_runs.release", **_columns(held), unbegun=list(unbegun))


def _columns(held: Sequence[Held]) -> dict[str, list[Any]]:
    return {
        "job_ids": [h[0] for h in held],
        "regions": [h[1] for h in held],
        "tokens": [h[2] for h in held],
    }
