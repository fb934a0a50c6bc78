"""The timeline fence: a process refuses an older primary.

After a failover the old primary may come back and accept writes, and an address with several hosts may lead to it. What
is written there is lost. PostgreSQL raises the number of its timeline at each promotion, so a process asks each new
connection for the server's identifier and timeline, and refuses a primary whose timeline is lower than the highest that
the process knows. docs/high-availability.md says what the fence does not see.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedFunction

from runner_core.hosts import each_host, joined
from runner_core.queries import row
from runner_core.session import LEAST_SECONDS, connect

log = logging.getLogger("db")
LEAST_WAIT_SECONDS = 0.2  # for the other hosts, after the newest primary has answered
ALIVE_SECONDS = 0.05  # between two looks at the threads: the last one may have ended after its answer was counted
ANSWER_SECONDS = 1.0  # for the statement, after a host's share of the wait for a connection
MISSING = (FeatureNotSupported, InsufficientPrivilege, UndefinedFunction)  # some other engines lack the functions

DIFFERENT = (
    "the hosts of the database's address are copies of {} different databases, so none of them is known to be the "
    "newer primary: take the hosts of the other database out of the address"
)


class OlderPrimary(psycopg.OperationalError):
    """The connection leads to a primary from before a promotion."""


@dataclass(frozen=True)
class Timeline:
    """A server's system identifier, which its copies share, and its timeline. `started`: when it began, Unix time."""

    server: str
    number: int
    standby: bool = False
    started: float | None = None


def read_timeline(conn: Connection[Any]) -> Timeline | None:
    """Return the server's timeline; None if the server lacks the functions that tell it. `conn` is in autocommit."""
    try:
        found = row(conn, "identity.timeline")
    except MISSING:
        return None
    return Timeline(found["server"], found["timeline"], found["standby"], found["started"]) if found else None


class Fence:
    """The highest timeline that a process knows. Any thread may call it.

    `on_newer` is called when the highest timeline rises: connections that are open may lead to the older primary.
    """

    def __init__(self, on_newer: Callable[[], object] = lambda: None) -> None:
        self.highest: Timeline | None = None
        self._on_newer = on_newer
        self._is_off = False
        self._lock = threading.Lock()

    def admit(self, conn: Connection[Any]) -> None:
        """Check a new connection. Close it and raise OlderPrimary if it leads to an older primary."""
        found = read_timeline(conn)
        if found is None:
            if not self._is_off:
                log.warning("this server does not tell its timeline: an older primary would not be recognised")
            self._is_off = True
            return
        highest = self.learn(found)
        if found.number < highest.number and not found.standby:
            conn.close()
            raise OlderPrimary(
                f"connection failed: an older primary answered, of timeline {found.number}; timeline {highest.number} "
                "has been seen"
            )

    def learn(self, found: Timeline) -> Timeline:
        """Take note of a server's timeline, and return the highest one. Another server's identifier begins anew."""
        with self._lock:
            before = self.highest
            if before and before.server == found.server and before.number >= found.number:
                return before
            self.highest = found
        if before and before.server != found.server:
            log.warning(
                "the database's server is another one, a restored or a new one: its timeline counts from now on "
                "server=%s timeline=%d server_before=%s timeline_before=%d",
                found.server,
                found.number,
                before.server,
                before.number,
            )
        if before:
            self._on_newer()
        return found

    def newest_first(self, url: str, name: str, wait_seconds: float) -> str:
        """Ask every host of `url` for its timeline, if it has several. Return `url` with the newest primary first.

        Hosts that do not answer within their share of `wait_seconds` keep their places behind it; a host that is silent
        holds nobody up where a primary of the highest timeline has answered. The order stays if
        servers of several identifiers answer, because their timelines can't be compared.
        """
        found = ask_hosts(url, name, wait_seconds, self.highest)
        highest = max((one for one in found.values() if one), key=lambda one: one.number, default=None)
        if highest is None:
            return url
        if len(servers := servers_of(found)) > 1:
            log.warning("%s", DIFFERENT.format(len(servers)))
            return url
        self.learn(highest)
        return joined(sorted(found, key=lambda address: _rank(found[address], highest)))


def servers_of(found: Mapping[str, Timeline | None]) -> set[str]:
    """Return the system identifiers of the servers that answered `ask_hosts`. The copies of one database share one."""
    return {one.server for one in found.values() if one}


def ask_hosts(url: str, name: str, wait_seconds: float, known: Timeline | None = None) -> dict[str, Timeline | None]:
    """Return each host's address with its timeline; None if it does not tell it within its share of `wait_seconds`.

    A single host is not asked. After the answer of a primary whose timeline is not lower than `known` the other hosts
    have as long again as this answer took, and LEAST_WAIT_SECONDS at least: they are about as far away.
    """
    addresses = each_host(url)
    if len(addresses) == 1:
        return {url: None}
    seconds = max(LEAST_SECONDS, wait_seconds / len(addresses))
    found: dict[str, Timeline | None] = dict.fromkeys(addresses)
    answered = threading.Event()

    def ask(address: str) -> None:
        found[address] = _ask(address, name, seconds)
        answered.set()

    # Threads that may be left behind: a server that falls silent after it was connected to would never answer.
    threads = [threading.Thread(target=ask, args=(address,), name="hosts", daemon=True) for address in addresses]
    began = time.monotonic()
    until = began + seconds + ANSWER_SECONDS
    # Where a container's limit allows no further thread, the hosts that are left count as silent.
    with contextlib.suppress(RuntimeError):
        for thread in threads:
            thread.start()
    while (left := until - time.monotonic()) > 0 and any(thread.is_alive() for thread in threads):
        answered.wait(min(left, ALIVE_SECONDS))
        answered.clear()
        if known and any(_is_as_new(one, known) for one in found.values()):
            now = time.monotonic()
            until, known = min(until, now + max(LEAST_WAIT_SECONDS, now - began)), None
    return dict(found)


def _is_as_new(found: Timeline | None, known: Timeline) -> bool:
    """Return whether this is a primary of the same database whose timeline is not lower."""
    return bool(found and not found.standby and found.server == known.server and found.number >= known.number)


def _ask(address: str, name: str, seconds: float) -> Timeline | None:
    """Return the timeline of the server at `address`; None if it does not tell it."""
    try:
        with connect(address, name, seconds, target_session_attrs="any") as conn:
            return read_timeline(conn)
    except psycopg.Error:
        return None


def _rank(found: Timeline | None, highest: Timeline) -> int:
    """Return the place of a host: the newest primary, those that did not answer, standbys, older primaries."""
    if found is None:
        return 1
    if found.standby:
        return 2
    return 0 if found.number == highest.number else 3
