"""Doctor's look at PostgreSQL."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg

from runner_cli.findings import Finding, error, ok, warning
from runner_core.limits import MAX_COUNTED
from runner_core.migrate import latest
from runner_core.preflight import Fault, faults
from runner_core.queries import row, rows
from runner_core.redaction import described
from runner_core.session import CONNECT_SECONDS, connect, transaction
from runner_core.settings import Settings
from runner_core.statuses import ALIVE_SECONDS, STUCK_SECONDS
from runner_core.timeline import DIFFERENT, ask_hosts, read_timeline, servers_of

KINDS = ("api", "publisher", "worker")  # whose pools have DB_POOL_MAX connections
LISTENERS = 1
ANALYSTS_CONNECTIONS = 2
SKEW_WARNING_SECONDS, SKEW_ERROR_SECONDS = 2.0, 60.0
CROWDED = 0.8


def check_database(settings: Settings, url: str) -> Iterator[Finding]:
    """Return every finding about the database of `url`."""
    if not url:
        yield error("postgres", "DATABASE_URL is not set: set it to postgresql://user:password@host:5432/name")
        return
    began = time.monotonic()
    try:
        with connect(url, "doctor") as conn:
            took = (time.monotonic() - began) * 1000
            yield _timeline(conn, url)
            with transaction(conn):
                found = list(faults(conn, latest(), None))
                yield from _preflight(conn, found, took)
                yield from _durability(conn)
                yield _clock(conn)
                if not any(fault.subject == "migrations" and fault.blocks for fault in found):
                    yield from _connections(conn, settings)
                    yield from _backlog(conn, settings.jobs.overdue_grace_seconds)
    except psycopg.Error as failure:
        reason = described(failure)
        if failure.sqlstate is None:
            yield error("postgres", f"it does not answer ({reason}): check DATABASE_URL and that the server runs")
        else:
            yield error("postgres", f"it refuses ({reason}): DATABASE_URL must be the owner's")


def _preflight(conn: psycopg.Connection[Any], found: list[Fault], took: float) -> Iterator[Finding]:
    """Run the checks that `beacon migrate` and each process run at their start."""
    subjects = {
        "postgres": f"version {conn.info.server_version // 10_000}, connected in {took:.0f} ms",
        "encoding": "UTF8",
        "migrations": f"the schema has version {latest()}",
        "rights": "each login has what it needs",
    }
    for fault in found:
        yield (error if fault.blocks else warning)(fault.subject, fault.sentence)
    for subject, text in subjects.items():
        known = subject != "rights" or not any(fault.subject in ("migrations", "logins") for fault in found)
        if known and not any(fault.subject == subject for fault in found):
            yield ok(subject, text)


def _durability(conn: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Check the settings that make a COMMIT survive a crash of the machine."""
    names = ["fsync", "full_page_writes", "synchronous_commit", "autovacuum"]
    found = {r["name"]: r["setting"] for r in rows(conn, "doctor.settings", names=names)}
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if found.get(name) == "off":
            yield error(name, f"{name}=off: a crash may lose jobs that were acknowledged; set it to on")
        else:
            yield ok(name, str(found.get(name)))
    if found.get("autovacuum") == "off":
        yield warning("autovacuum", "autovacuum=off: the outbox and the runs will bloat; set it to on")


def _timeline(conn: psycopg.Connection[Any], url: str) -> Finding:
    """Report whether an older primary would be recognised, and whether one accepts writes now."""
    found = read_timeline(conn)
    if found is None:
        return warning(
            "timeline",
            "this server does not tell its timeline, so a primary that comes back after a failover is not refused: see "
            "docs/high-availability.md",
        )
    hosts = ask_hosts(url, "doctor", CONNECT_SECONDS)
    if len(servers := servers_of(hosts)) > 1:
        return error("timeline", DIFFERENT.format(len(servers)))
    primaries = {(host.number, host.started) for host in hosts.values() if host and not host.standby}
    if len(primaries) > 1:  # several addresses may lead to one primary
        told = " and ".join(str(number) for number, _ in sorted(primaries, key=lambda one: one[0]))
        return error("timeline", f"{len(primaries)} servers accept writes, of timelines {told}: stop the older primary")
    answered = sum(host is not None for host in hosts.values())
    return ok("timeline", f"{found.number}" + (f"; {answered} of {len(hosts)} hosts answer" if len(hosts) > 1 else ""))


def _clock(conn: psycopg.Connection[Any]) -> Finding:
    """Leases use the database's clock; a job's freshness is judged by the API's."""
    before = datetime.now(UTC)
    found = row(conn, "sweep.clock")
    after = datetime.now(UTC)
    if found is None:
        return error("clock", "the database did not return its time")
    skew = abs((found["now"] - (before + (after - before) / 2)).total_seconds())
    if skew > SKEW_ERROR_SECONDS:
        return error("clock", f"this machine and the database differ by {skew:.0f} s: signed jobs look stale; use NTP")
    if skew > SKEW_WARNING_SECONDS:
        return warning("clock", f"this machine and the database differ by {skew:.1f} s: use NTP")
    return ok("clock", f"this machine and the database agree within {max(skew, 0.001):.3f} s")


def _connections(conn: psycopg.Connection[Any], settings: Settings) -> Iterator[Finding]:
    """Every live process may fill its pool: does max_connections have room for all of them?"""
    alive = {r["kind"]: r["processes"] for r in rows(conn, "doctor.alive", alive_seconds=ALIVE_SECONDS)}
    found = {
        r["name"]: int(r["setting"])
        for r in rows(conn, "doctor.settings", names=["max_connections", "superuser_reserved_connections"])
    }
    room = found["max_connections"] - found["superuser_reserved_connections"]
    needed = sum(alive.get(kind, 0) for kind in KINDS) * (settings.database.pool_max + LISTENERS)
    needed += alive.get("analyst", 0) * ANALYSTS_CONNECTIONS
    told = ", ".join(f"{alive[kind]} {kind}" for kind in (*KINDS, "analyst") if alive.get(kind)) or "no live processes"
    text = f"{told} with pools of {settings.database.pool_max} may open {needed} of {room} connections"
    if needed > room:
        yield error("connections", f"{text}: raise max_connections, lower DB_POOL_MAX, or put a pooler in between")
    elif needed > room * CROWDED:
        yield warning("connections", f"{text}: not much is left; raise max_connections or lower DB_POOL_MAX")
    else:
        yield ok("connections", text)


def _backlog(conn: psycopg.Connection[Any], grace_seconds: float) -> Iterator[Finding]:
    """Report messages and jobs that wait longer than they should."""
    waiting = row(conn, "metrics.outbox", most=MAX_COUNTED)
    late = row(conn, "metrics.late", stuck_seconds=STUCK_SECONDS, grace_seconds=grace_seconds, most=MAX_COUNTED)
    if waiting and waiting["dead"]:
        yield warning(
            "outbox",
            f"{waiting['dead']} messages were given up: look at /admin/dead, and send them again or cancel their jobs",
        )
    elif waiting and waiting["oldest_seconds"] > 60:
        yield warning(
            "outbox",
            f"{waiting['waiting']} messages wait, the oldest for {waiting['oldest_seconds']:.0f} s: "
            "does a publisher run?",
        )
    elif waiting:
        yield ok("outbox", f"{waiting['waiting']} messages wait")
    if late and (late["stuck"] or late["overdue"]):
        yield warning(
            "jobs",
            f"{late['stuck']} queued for over 10 minutes, {late['overdue']} past their deadline: `beacon explain JOB`",
        )
