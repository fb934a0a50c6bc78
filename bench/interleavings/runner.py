"""Prepares, runs, checks and counts all schedules of one specification."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial

from bench.interleavings.explore import Schedule, schedules
from bench.interleavings.gate import Wire
from bench.interleavings.holds import Seen
from bench.interleavings.session import Session
from bench.interleavings.specs import Spec
from bench.interleavings.steps import Run
from bench.interleavings.verbs import Scene
from bench.interleavings.world import World
from runner_core.db import Database
from runner_core.errors import BeaconError
from runner_core.settings import Settings

KEPT_EXAMPLES = 5
ENOUGH_BROKEN = 20  # without its locks a verb has millions of schedules


@dataclass
class Result:
    """The results of a specification's schedules. `steps`: the most steps of each verb."""

    name: str
    steps: list[int] = field(default_factory=list)
    schedules: int = 0
    waited: int = 0
    redundant: int = 0
    deadlocks: int = 0
    broken: int = 0
    seconds: float = 0.0
    ends: set[str] = field(default_factory=set)  # the different states at their ends
    examples: list[str] = field(default_factory=list)


def settings_for(database_url: str, redis_url: str, spec: Spec) -> Settings:
    """Return the settings of every session. Leases are longer than the run, so that only prepared ones expire."""
    return Settings.from_env(
        {
            "BEACON_TEST": "1",
            "ALLOW_SANDBOX": "1",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "LEASE_SECONDS": "3600",
            **spec.settings,
        }
    )


def explore(
    spec: Spec, database_url: str, redis_url: str, *, reduced: bool = True, tell: Callable[[Result], None] | None = None
) -> Result:
    """Run every schedule of `spec` in this database; call `tell` after each. Raises Stuck, NotRepeatable."""
    result, began = Result(spec.name, [0] * len(spec.verbs)), time.monotonic()
    with ExitStack() as stop:
        logging.disable(logging.CRITICAL)  # refusals and fenced writes are expected
        stop.callback(logging.disable, logging.NOTSET)
        world = stop.enter_context(closing(World(database_url, redis_url)))
        prepare(spec, scene := Scene(world), settings_for(database_url, redis_url, spec))
        wire, before = Wire(), world.deadlocks()
        sessions, calls = [], []
        settings = settings_for(database_url, redis_url, spec)
        for verb in spec.verbs:
            session = Session(wire, database_url, verb.name)
            stop.callback(session.close)
            db = Database(settings_for(session.url, redis_url, spec), verb.kind, size=1)
            stop.callback(db.close)
            session.begin(partial(_connect, db))
            while not session.ended:
                wire.pump(0.05)
            sessions.append(session)
            calls.append(partial(verb.do, db, scene))

        def begin() -> Run:
            world.restore()
            return Run(wire, world.look, sessions, calls)

        for schedule in schedules(begin, reduced=reduced):
            if schedule.redundant:
                result.redundant += 1
                continue
            wrong = [*_failures(spec, schedule), *world.broken(settings, sessions)]
            wrong += _wrong(spec, Seen(world, schedule.results)) if not wrong else []
            _count(result, schedule, wrong)
            result.ends.add(world.end())
            result.seconds = time.monotonic() - began
            if tell:
                tell(result)
            if result.broken == ENOUGH_BROKEN:
                result.examples.append("the rest was not run")
                break
    with closing(World(database_url, redis_url)) as world:
        # Read it after the sessions have ended: a session reports its deadlocks late.
        result.deadlocks = max(result.deadlocks, world.deadlocks() - before)
    return result


def prepare(spec: Spec, scene: Scene, settings: Settings) -> None:
    """Make the state and store a copy."""
    scene.world.empty()
    with closing(Database(settings, "worker").open()) as scene.db:
        spec.prepare(scene)
    scene.world.keep()
    scene.message = scene.world.value("SELECT min(id) FROM outbox") or 0


def _connect(db: Database) -> None:
    """Open the connection, and end the thread that sends notifications, because these belong to no verb."""
    with db.open().statement() as conn:
        conn.execute("SELECT 1")
    db.notifier.notify(outbox=True)
    db.notifier.stop()


def _failures(spec: Spec, schedule: Schedule) -> list[str]:
    found = ["a deadlock"] if schedule.is_deadlocked else []
    for verb, result in zip(spec.verbs, schedule.results, strict=True):
        if isinstance(result, Exception) and not isinstance(result, BeaconError):
            found.append(f"{verb.name} raised {type(result).__name__}: {result}")
    return found


def _wrong(spec: Spec, seen: Seen) -> list[str]:
    """Return what does not hold. A result that the specification does not expect is also wrong."""
    try:
        return list(spec.holds(seen))
    except (AttributeError, TypeError, ValueError):
        return [f"the verbs said {seen.results}"]


def _count(result: Result, schedule: Schedule, wrong: list[str]) -> None:
    taken = [sum(step.session == number for step in schedule.order) for number in range(len(result.steps))]
    result.steps = [max(pair) for pair in zip(result.steps, taken, strict=True)]
    result.schedules += 1
    result.waited += any(step.waits_for for step in schedule.order)
    result.deadlocks += schedule.is_deadlocked
    result.broken += bool(wrong)
    if wrong and len(result.examples) < KEPT_EXAMPLES:
        order = " ".join(
            f"{step.session + 1}:{step.name}{'(waits)' if step.waits_for else ''}" for step in schedule.order
        )
        result.examples.append(f"{'; '.join(wrong)} [{order}]")
