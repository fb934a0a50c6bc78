"""One run of several verbs, step by step: which sessions can continue, what a step did, and which sessions wait."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.interleavings.footprint import EVERYTHING, NOTHING, Footprint, read_footprints
from bench.interleavings.gate import ENDS, Wire, is_advisory, sees_locks
from bench.interleavings.session import Call, Session

LOOK_SECONDS = 0.001  # a statement without an answer by then may wait for another session
PATIENCE_SECONDS = 20.0
BLOCKERS = b"SELECT pid, pg_blocking_pids(pid) FROM unnest(%s::integer[]) AS p (pid)"


class Stuck(Exception):
    """A verb neither continued nor ended."""


class NotRepeatable(Exception):
    """The same choices did not lead to the same steps."""


@dataclass(frozen=True)
class Step:
    """One step of one session.

    `waits_for`: the sessions that it waited for when it was sent. `footprint`: that of its transaction until its end.
    `after`: the footprints of sessions after it. `frees`: sessions that waited could continue because of it.
    """

    session: int
    name: str
    waits_for: frozenset[int]
    footprint: Footprint
    after: Mapping[int, Footprint]
    failed: bool
    frees: bool

    @property
    def is_end(self) -> bool:
        """Return whether it has ended its transaction."""
        return self.failed or self.name in ENDS

    @property
    def takes_locks(self) -> bool:
        """Return whether row locks of other sessions affect it."""
        return not self.is_end and sees_locks(self.name)


def may_affect(one: Step, other: Step) -> bool:
    """Return whether the order of two steps of different sessions may matter.

    It matters only if their transactions have used the same table. A statement reads committed rows, so the end of a
    transaction that has changed rows affects it; locks of other sessions affect a statement that locks or changes rows.
    Two steps that wait are in the same queue. A step that lets others continue has the effects of the others too.
    """
    if one.frees or other.frees:
        return True
    if one.footprint.is_advisory and other.footprint.is_advisory:
        return True
    if one.waits_for and other.waits_for:
        return True
    return _notices(one, other) or _notices(other, one)


def _notices(step: Step, other: Step) -> bool:
    """Return whether `step` may have another result after `other` than before it."""
    if not other.footprint.has_changed:
        return False
    if other.is_end:
        return other.footprint.changes_what(step.footprint) and (not step.is_end or step.footprint.has_changed)
    # A step that waits for a session and holds nothing continues to wait until that session's transaction ends.
    is_waiting = other.session in step.waits_for and not step.footprint.has_changed
    return (
        step.takes_locks
        and sees_locks(other.name)
        and not is_waiting
        and other.footprint.locks_what_is_locked_by(step.footprint)
    )


class Run:
    """Verbs of several sessions, from start to end. `look` is a connection without a gate."""

    def __init__(
        self, wire: Wire, look: psycopg.Connection[Any], sessions: Sequence[Session], calls: Sequence[Call]
    ) -> None:
        self.sessions = sessions
        self.is_deadlocked = False  # sessions wait for each other until the server ends one of them
        self.order: list[Step] = []
        self._wire = wire
        self._look = look
        self._waiting: dict[int, frozenset[int]] = {}  # sessions that wait, and for which others
        self._footprints = dict.fromkeys(range(len(sessions)), NOTHING)
        for session, call in zip(sessions, calls, strict=True):
            session.gate.arm()
            session.begin(call)
        self._settle()

    def ready(self) -> tuple[int, ...]:
        """Return the sessions whose next statement may pass. There is none in a deadlock: which session the server then
        ends depends on time, so the rest could not be repeated."""
        if self.is_deadlocked:
            return ()
        return tuple(number for number, session in enumerate(self.sessions) if session.parked)

    def step(self, number: int, before: Step | None = None) -> Step:
        """Let one session's next statement pass; wait until every session is held, waits or has ended.

        `before`: the same step in an earlier run. Raises NotRepeatable if the step differs now.
        """
        session = self.sessions[number]
        relay = session.parked
        assert relay is not None
        failures = len(session.gate.failures)
        waited = list(self._waiting)
        relay.let()
        self._settle()
        self._note_deadlock()
        name, waits_for = relay.latest, self._waiting.get(number, frozenset())
        if before and (before.name, before.waits_for) != (name, waits_for):
            raise NotRepeatable(f"{name} waits for {set(waits_for)}; before {before.name} for {set(before.waits_for)}")
        step = before or self._noted(number, name, waits_for, waited, failed=len(session.gate.failures) > failures)
        self._footprints |= step.after
        self.order.append(step)
        return step

    def finish(self) -> list[Any]:
        """Let every statement pass until all verbs end; return what each verb returned or raised."""
        for session in self.sessions:
            session.gate.open()
        until = time.monotonic() + PATIENCE_SECONDS
        while not all(session.ended for session in self.sessions):
            self._wire.pump(0.05)
            if time.monotonic() > until:
                raise Stuck("a verb did not end")
        self._note_deadlock()
        return [session.result for session in self.sessions]

    def _noted(self, number: int, name: str, waits_for: frozenset[int], waited: Sequence[int], *, failed: bool) -> Step:
        """Return the step that was just taken, with the footprints from the server."""
        after = {n: NOTHING for n in (number,) if failed or name in ENDS}
        moved = [n for n in {number, *waited} if n not in after and not self.sessions[n].ended]
        after |= read_footprints(self._look, {n: self.sessions[n].pids for n in moved})
        footprint = EVERYTHING if failed else after[number] if number in moved else self._footprints[number]
        if number in moved and (is_advisory(name) or self._footprints[number].is_advisory):
            footprint = after[number] = footprint.with_advisory_lock()
        if not footprint.is_readable and not (failed or name in ENDS):
            footprint = EVERYTHING  # of a statement that was a transaction by itself nothing is known
        return Step(number, name, waits_for, footprint, after, failed, frees=bool(set(waited) - self._waiting.keys()))

    def _note_deadlock(self) -> None:
        """Record a deadlock that the server has ended before this program found it."""
        self.is_deadlocked |= any("40P01" in session.gate.failures for session in self.sessions)

    def _settle(self) -> None:
        """Serve the gates until every session has ended, is held, or waits for another one."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            served = self._wire.pump(LOOK_SECONDS)
            moving = [n for n, s in enumerate(self.sessions) if not s.ended and not s.parked]
            if not moving:
                self._waiting = {}
                return
            if not served and all(self.sessions[n].busy for n in moving):
                self._waiting = self._who_waits(moving)
                if self._waiting.keys() == set(moving):
                    self.is_deadlocked = not _reach(self._waiting, self.ready())
                    return
            if time.monotonic() > until:
                names = [self.sessions[n].name for n in moving]
                raise Stuck(f"neither answered nor seen to wait for another session: {', '.join(names)}")

    def _who_waits(self, moving: Sequence[int]) -> dict[int, frozenset[int]]:
        """Return the sessions that wait, and for which others."""
        owner = {pid: n for n, session in enumerate(self.sessions) for pid in session.pids}
        pids = [relay.pid for n in moving if (relay := self.sessions[n].busy)]
        return {
            owner[pid]: frozenset(owner[blocker] for blocker in blockers)
            for pid, blockers in self._look.execute(BLOCKERS, [pids]).fetchall()
            if blockers and all(blocker in owner for blocker in blockers)
        }


def _reach(waiting: Mapping[int, frozenset[int]], ready: Sequence[int]) -> bool:
    """Return whether every waiting session waits, directly or not, for a session that can continue."""
    reached = set(ready)
    while more := {n for n, others in waiting.items() if n not in reached and others & reached}:
        reached |= more
    return waiting.keys() <= reached
