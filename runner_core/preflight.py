"""The checks of a database before it is used, by `beacon migrate`, the start of each process and `beacon doctor`."""

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import Connection

from runner_core import __version__
from runner_core.cells import PUBLIC_CELL, cell_of_connection
from runner_core.errors import NotReady
from runner_core.grants import logins, missing_logins, missing_rights, rights, told
from runner_core.queries import Row, row, rows, run, single

OLDEST_POSTGRES = 15
Begin = Callable[[], AbstractContextManager[Connection[Any]]]


@dataclass(frozen=True)
class Fault:
    """A failed check. `sentence` says what is wrong and how to mend it. If `blocks`, processes can't work."""

    subject: str
    sentence: str
    blocks: bool = True


def server(conn: Connection[Any]) -> Row:
    """Return the properties of the database on which the checks rest."""
    return single(conn, "preflight.server", schema=cell_of_connection(conn).schema)


def server_faults(conn: Connection[Any]) -> Iterator[Fault]:
    """Yield the faults that must be mended before anything is written to the database."""
    yield from _server(server(conn))


def faults(conn: Connection[Any], needed: int, kind: str | None) -> Iterator[Fault]:
    """Yield all faults of a database whose schema must be at migration `needed`.

    `kind` is the kind of process that asks: api, publisher, worker or analyst; the privileges of its login are checked.
    Another kind needs none of them. None checks all four logins, for the owner.
    """
    cell, found = cell_of_connection(conn), server(conn)
    yield from _server(found)
    if found["usable"] is None:
        yield Fault("migrations", f"the database has no schema {cell.schema}: run `beacon migrate`")
        return
    if not found["migrated"]:
        yield Fault("migrations", "the database has no Beacon Runner schema: run `beacon migrate`")
        return
    if found["readable"] and found["usable"]:
        versions = [applied["version"] for applied in rows(conn, "migrations.applied")]
        at = versions[-1] if versions else 0
        if at < needed:
            yield Fault(
                "migrations",
                f"the database's schema is {f'at migration {at}' if at else 'empty'}, this release needs {needed}: "
                "run `beacon migrate`",
            )
            return
        if at > needed:  # a newer release has just been deployed; this release works with its schema
            yield Fault(
                "migrations",
                f"the database's schema is at migration {at}, this release knows only {needed}: upgrade the release",
                blocks=False,
            )
    if kind is None:
        yield from _logins(conn)
        yield from creators(conn)
        if not found["read_only"]:
            for switch in rows(conn, "preflight.switches", logins=list(logins(cell))):
                yield _read_only(switch["login"], blocks=False)  # an operator has set it, for another login
        return
    login = cell.login(kind)
    own = [replace(right, login=found["login"]) for right in rights(cell) if right.login == login]
    if missing := missing_rights(conn, own):
        yield Fault("rights", f"{told(missing)}: run `beacon migrate` as the owner of the tables")


def creators(conn: Connection[Any]) -> Iterator[Fault]:
    """Yield a warning if a process's login may create objects in the schema of the tables.

    The functions of the schema run with their owner's privileges, and would call a function that the login has made.
    """
    cell = cell_of_connection(conn)
    found = rows(conn, "preflight.creators", schema=cell.schema, logins=list(logins(cell)))
    if names := ", ".join(creator["grantee"] for creator in found):
        who = "everybody" if names == "PUBLIC" else names
        quoted = cell.schema if cell == PUBLIC_CELL else f'"{cell.schema}"'  # a reserved word may name a cell
        yield Fault(
            "schema",
            f"{who} may create functions in the schema {cell.schema}, which functions of ours would call with their "
            f"owner's privileges: run `REVOKE CREATE ON SCHEMA {quoted} FROM {names}`",
            blocks=False,
        )


def prove(begin: Begin, trial: Begin, needed: int, kind: str | None) -> None:
    """Test that a process can work: no fault blocks, a committed write can be read back, the disk has room.

    The written row is removed. `begin` opens a transaction, `trial` one that can be rolled back. Raises NotReady with
    one sentence and the database's message.
    """
    with begin() as conn:
        blocking = [fault.sentence for fault in faults(conn, needed, kind) if fault.blocks]
    if blocking:
        raise NotReady(blocking[0])
    process_id = f"probe-{uuid.uuid4().hex}"
    own = {"kind": "cli", "host": socket.gethostname(), "pid": os.getpid(), "version": __version__}
    unknown = {"region": None, "regions_sha": None, "concurrency": None, "providers": None}
    with begin() as conn:
        row(conn, "processes.beat", process_id=process_id, **own, **unknown)
    with begin() as conn:
        written = row(conn, "processes.read", process_id=process_id)
        run(conn, "processes.leave", process_id=process_id)
    with trial() as conn:
        run(conn, "readiness.grow")
        raise psycopg.Rollback
    if written is None:
        raise NotReady("a row that was written to the database could not be read back")


def _server(found: Row) -> Iterator[Fault]:
    if found["version"] < OLDEST_POSTGRES:
        yield Fault("postgres", f"version {found['version']} is too old: {OLDEST_POSTGRES} or later is needed")
    if found["encoding"] != "UTF8":
        yield Fault(
            "encoding",
            f"the database's encoding is {found['encoding']}, which can't hold every text: "
            "create the database again with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )
    if not found["lowers_ascii"]:
        yield Fault(
            "locale",
            "the database's locale does not turn A to Z into a to z: "
            "create the database again with CREATE DATABASE ... LOCALE 'C.UTF-8' TEMPLATE template0",
        )
    if found["standby"]:
        yield Fault("writes", "the server is a standby and takes no writes: DATABASE_URL must lead to the primary")
    elif found["read_only"]:
        yield _read_only(found["login"])


def _logins(conn: Connection[Any]) -> Iterator[Fault]:
    if missing := missing_logins(conn):
        yield Fault("logins", f"the roles {', '.join(missing)} are missing: run `beacon migrate`, which makes them")
    there = [right for right in rights(cell_of_connection(conn)) if right.login not in missing]
    if lacking := missing_rights(conn, there):
        yield Fault("rights", f"{told(lacking)}: run `beacon migrate --grants` as the owner of the tables")


def _read_only(login: str, *, blocks: bool = True) -> Fault:
    sentence = f"default_transaction_read_only is on for {login}, so this login can't write: turn it off"
    return Fault("writes", sentence, blocks)
