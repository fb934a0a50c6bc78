"""The relations that a session's transaction has used so far, read from pg_locks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

# A transaction gets its id with its first change or row lock. A table that is only read has an ACCESS SHARE lock. The
# relations are tables, indexes and views.
FOOTPRINTS = b"""
SELECT a.pid, a.backend_xid IS NOT NULL, array_agg(l.relation) FILTER (WHERE l.mode IS NOT NULL),
       array_agg(l.relation) FILTER (WHERE l.mode <> 'AccessShareLock')
  FROM unnest(%s::integer[]) AS p (pid) CROSS JOIN LATERAL pg_stat_get_activity(p.pid) AS a
  LEFT JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'relation'
 GROUP BY a.pid, a.backend_xid
"""


@dataclass(frozen=True)
class Footprint:
    """The relations that a transaction has read, and those of which it has locked or changed rows, by their oids.

    `has_changed`: it has locked or changed a row. None means every relation.
    """

    has_changed: bool
    read: frozenset[int] | None
    locked: frozenset[int] | None
    is_advisory: bool = False

    @property
    def is_readable(self) -> bool:
        """Return whether anything is known. A statement without any relation has already ended its transaction."""
        return self.has_changed or self.read is None or bool(self.read)

    def changes_what(self, other: "Footprint") -> bool:
        """Return whether the end of this transaction may change what the other one reads."""
        return _meet(self.locked, other.read)

    def locks_what_is_locked_by(self, other: "Footprint") -> bool:
        """Return whether both lock rows of the same relation."""
        return _meet(self.locked, other.locked)

    def with_advisory_lock(self) -> "Footprint":
        """Return the same footprint with an advisory lock."""
        return replace(self, is_advisory=True)


NOTHING = Footprint(False, frozenset(), frozenset())
EVERYTHING = Footprint(True, None, None)


def read_footprints(look: psycopg.Connection[Any], pids: Mapping[int, Sequence[int]]) -> dict[int, Footprint]:
    """Return the footprints of these sessions' transactions. A session has at most one open transaction."""
    owner = {pid: number for number, its in pids.items() for pid in its}
    found = dict.fromkeys(pids, NOTHING)
    if not owner:
        return found
    for pid, has_changed, read, locked in look.execute(FOOTPRINTS, [list(owner)]).fetchall():
        if has_changed or read:
            found[owner[pid]] = Footprint(has_changed, frozenset(read or ()), frozenset(locked or ()))
    return found


def _meet(one: frozenset[int] | None, other: frozenset[int] | None) -> bool:
    return one is None or other is None or bool(one & other)
