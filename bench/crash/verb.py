"""The description of a verb for crash points: the state before it, the action of a process behind the taps, and the
exchanges that belong to it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.crash.environment import LATE_SECONDS
from bench.crash.lane import Lane
from bench.crash.point import Passed
from bench.crash.processes import Process

TERMINAL = ("completed", "failed", "cancelled")
CONNECTING = "connecting"  # the name of the exchange that makes a connection of PostgreSQL
NO_CUT = ("Terminate", "Flush", "SSLRequest", "CancelRequest")


@dataclass
class Request:
    """A client's request and its answers in order: (answering process, status, document)."""

    path: str
    body: bytes
    headers: dict[str, str]
    method: str = "POST"
    answers: list[tuple[str, int, Any]] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)


@dataclass
class Story:
    """The course of one point: its job, its requests, its processes."""

    jobs: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    kept_out: list[Process] = field(default_factory=list)  # processes of this story that are no victims

    def is_told(self) -> bool:
        """Return whether every client has its last answer."""
        return all(request.told.is_set() for request in self.requests)


Step = Callable[[Lane, Story], object]
Question = Callable[[Lane, Story], Any]


def nothing(lane: Lane, story: Story) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Verb:
    """A verb. Its exchanges are those with a statement of `anchors` (a name, or a prefix that ends with a dot) and
    without one of `without`. All messages of these exchanges are cut, except `elsewhere`, which another verb cuts.
    `redis` and `provider`: the beginnings of its commands to Redis and of its requests to providers.

    `then`: what happens outside during the verb, such as a provider's answer. `others`: the processes that continue
    after the cut. They, the victims and the client finish the work; `ended` returns whether it is finished.
    """

    name: str
    prepare: Step
    act: Step
    reached: Question
    anchors: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    redis: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    then: Step = nothing
    others: tuple[str, ...] = ("publisher", "worker US")
    warm: Step | None = None  # run before, so that the victims' connections have sent the same messages once
    ended: Question | None = None
    check: Callable[[Lane, Story], Iterable[str]] | None = None
    # Settings of the publisher. If there are any, a publisher with them starts after the cut, as by a supervisor.
    env: dict[str, str] = field(default_factory=dict)
    late_seconds: float = LATE_SECONDS
    # None: cut every message. Else cut the first message of each label, and every message of these statements. A
    # migration sends two hundred grants.
    repeats: tuple[str, ...] | None = None

    def own(self, protocol: str, exchange: list[Passed]) -> Iterator[Passed]:
        """Yield the messages of one exchange that this verb cuts."""
        if protocol != "postgres":
            prefixes = self.redis if protocol == "redis" else self.provider
            # An idle worker sends commands all the time: only the first of each belongs to the verb.
            most = 1 if protocol == "redis" else len(exchange)
            yield from (p for p in exchange if p.point.label.startswith(prefixes) and p.point.nth <= most)
            return
        names = statements_of(exchange)
        if not any(_begins(name, self.anchors) for name in names) or any(_begins(name, self.without) for name in names):
            return
        for passed in exchange:
            kind, _, statement = passed.point.label.partition(" ")
            name = statement.split(",")[0]
            is_one_of_many = self.repeats is not None and name not in self.repeats and passed.point.nth > 1
            if kind not in NO_CUT and not _begins(name, self.elsewhere) and not is_one_of_many:
                yield passed


def statements_of(exchange: Iterable[Passed]) -> set[str]:
    """Return the names of the statements of an exchange with PostgreSQL."""
    found = set()
    for passed in exchange:
        kind, _, statement = passed.point.label.partition(" ")
        name = statement.split(",")[0]
        if "." in name or kind == "Query":
            found.add(name)
        if kind in ("Startup", "Password"):
            found.add(CONNECTING)
    return found


def _begins(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or (prefix.endswith(".") and name.startswith(prefix)) for prefix in prefixes)


def jobs_ended(lane: Lane, story: Story) -> bool:
    """Return whether every job of the story has ended and no message waits to be published."""
    ended = lane.one(
        """SELECT (SELECT count(*) FROM jobs WHERE id = ANY (%s) AND status = ANY (%s))
                - (SELECT count(*) FROM outbox WHERE processed_at IS NULL AND dead_at IS NULL)""",
        *(story.jobs, list(TERMINAL)),
    )
    return bool(ended == len(story.jobs))


def nothing_waits(lane: Lane, story: Story) -> bool:
    """Return whether no message waits to be published."""
    return not lane.one("SELECT count(*) FROM outbox WHERE processed_at IS NULL AND dead_at IS NULL")


def all_told(lane: Lane, story: Story) -> bool:
    """Return whether every client has its answer."""
    return story.is_told()
