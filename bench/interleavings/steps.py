"""One run of several verbs, step by step: who may go on, what a step did, who waits for whom."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.interleavings.footprint import EVERYTHING, NOTHING, Footprint, read_footprints
from bench.interleavings.gate import ENDS, Wire, is_advisory, sees_locks
from bench.interleavings.session import Call, Session

LOOK_SECONDS = 0.001  # a statement that is not answered by then may be waiting for another session
PATIENCE_SECONDS = 20.0
BLOCKERS = b"SELECT pid, pg_blocking_pids(pid) FROM unnest(%s::integer[]) AS p (pid)"


class Stuck(Exception):
    """A verb neither went on nor ended."""


class NotRepeatable(Exception):
    """The same choices did not lead to the same steps."""


@dataclass(frozen=True)
class Step:
    """One step of one session, as far as another session could notice.

    `waits_for` are the sessions that it waited for when it was sent. `footprint` is its transaction's until its end,
    `after` the footprints that sessions have after it. `frees`: others that waited went on with it.
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
        """Whether it has ended its transaction."""
        return self.failed or self.name in ENDS

    @property
    def takes_locks(self) -> bool:
        """Whether row locks of others matter to it."""
        return not self.is_end and sees_locks(self.name)


def may_affect(one: Step, other: Step) -> bool:
    """Whether it can matter which of two steps of different sessions comes first.

    It matters only where their transactions have touched a table in common. There, a statement reads what is committed,
    so that it notices the end of a transaction that has changed something; a statement that locks or changes rows also
    notices the locks of others. Two that wait stand in one line. A step with which others went on has done what they
    did.
    """
    if one.frees or other.frees:
        return True
    if one.footprint.is_advisory and other.footprint.is_advisory:
        return True
    if one.waits_for and other.waits_for:
        return True
    return _notices(one, other) or _notices(other, one)


def _notices(step: Step, other: Step) -> bool:
    """Whether `step` may come to something else after `other` than before it."""
    if not other.footprint.has_changed:
        return False
    if other.is_end:
        return other.footprint.changes_what(step.footprint) and (not step.is_end or step.footprint.has_changed)
    # What waits for a session and holds nothing itself goes on waiting, whatever that session does before its end.
    is_waiting = other.session in step.waits_for and not step.footprint.has_changed
    return (
        step.takes_locks
        and sees_locks(other.name)
        and not is_waiting
        and other.footprint.locks_what_is_locked_by(step.footprint)
    )


class Run:
    """Verbs of several sessions, from their start to their ends. `look` is a connection past the gates."""

    def __init__(
        self, wire: Wire, look: psycopg.Connection[Any], sessions: Sequence[Session], calls: Sequence[Call]
    ) -> None:
        self.sessions = sessions
        self.is_deadlocked = False  # sessions wait for each other, until the server ends one of them
        self.order: list[Step] = []
        self._wire = wire
        self._look = look
        self._waiting: dict[int, frozenset[int]] = {}  # sessions that wait, and for whom
        self._footprints = dict.fromkeys(range(len(sessions)), NOTHING)
        for session, call in zip(sessions, calls, strict=True):
            session.gate.arm()
            session.begin(call)
        self._settle()

    def ready(self) -> tuple[int, ...]:
        """The sessions whose next statement may be let through. None in a deadlock: which session the server then ends
        is a matter of time, so that what follows could not be repeated."""
        if self.is_deadlocked:
            return ()
        return tuple(number for number, session in enumerate(self.sessions) if session.parked)

    def step(self, number: int, before: Step | None = None) -> Step:
        """Let one session's next statement through; wait until everybody stands still again.

        `before` is what the same step was in an earlier run. Raises NotRepeatable when it is another one now.
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
        """Let everything through to the ends; return what each verb returned or raised."""
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
        """The step that was just taken, with what the server tells of it."""
        after = {n: NOTHING for n in (number,) if failed or name in ENDS}
        moved = [n for n in {number, *waited} if n not in after and not self.sessions[n].ended]
        after |= read_footprints(self._look, {n: self.sessions[n].pids for n in moved})
        footprint = EVERYTHING if failed else after[number] if number in moved else self._footprints[number]
        if number in moved and (is_advisory(name) or self._footprints[number].is_advisory):
            footprint = after[number] = footprint.with_advisory_lock()
        if not footprint.is_readable and not (failed or name in ENDS):
            footprint = EVERYTHING  # a statement that was a transaction by itself has left no trace
        return Step(number, name, waits_for, footprint, after, failed, frees=bool(set(waited) - self._waiting.keys()))

    def _note_deadlock(self) -> None:
        """The server may have ended a deadlock before it was seen here."""
        self.is_deadlocked |= any("40P01" in session.gate.failures for session in self.sessions)

    def _settle(self) -> None:
        """Serve the gates until every session has ended, is parked, or waits for another one."""
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
        """The sessions that wait for others, and for whom."""
        owner = {pid: n for n, session in enumerate(self.sessions) for pid in session.pids}
        pids = [relay.pid for n in moving if (relay := self.sessions[n].busy)]
        return {
            owner[pid]: frozenset(owner[blocker] for blocker in blockers)
            for pid, blockers in self._look.execute(BLOCKERS, [pids]).fetchall()
            if blockers and all(blocker in owner for blocker in blockers)
        }


def _reach(waiting: Mapping[int, frozenset[int]], ready: Sequence[int]) -> bool:
    """Whether every line of waiting leads to a session that can go on."""
    reached = set(ready)
    while more := {n for n, others in waiting.items() if n not in reached and others & reached}:
        reached |= more
    return waiting.keys() <= reached
