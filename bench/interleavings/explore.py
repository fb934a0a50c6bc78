"""Runs every order of the sessions' steps, depth first, except orders that can't differ in their effect."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.interleavings.steps import NotRepeatable, Run, Step, may_affect

TRIES = 20  # of one schedule's beginning


@dataclass
class Choice:
    """One choice of a schedule: the sessions that can continue, the session that was taken, and those tried before.

    `asleep`: sessions whose next step was tried in an earlier run that this run would only repeat, because no later
    step affects that step. (Sleep sets: P. Godefroid, Partial-Order Methods for the Verification of Concurrent Systems,
    1996, chapter 5.)
    """

    ready: tuple[int, ...]
    asleep: dict[int, Step]
    taken: int
    tried: dict[int, Step] = field(default_factory=dict)

    def left(self) -> list[int]:
        """Return the sessions that must still be tried here."""
        return [n for n in self.ready if n not in self.tried and n not in self.asleep]

    def asleep_after(self) -> dict[int, Step]:
        """Return the sessions that are asleep after the step that was taken here."""
        step = self.tried[self.taken]
        earlier = {**self.asleep, **self.tried}
        return {n: e for n, e in earlier.items() if n != self.taken and not may_affect(e, step)}


@dataclass(frozen=True)
class Schedule:
    """One order of steps and what the verbs returned. `redundant`: the run was ended because it repeats another one."""

    order: tuple[Step, ...]
    results: list[Any]
    is_deadlocked: bool
    redundant: bool


def schedules(begin: Callable[[], Run], *, reduced: bool = True) -> Iterator[Schedule]:
    """Run every schedule from `begin`'s state to its end. `reduced`: without orders that can't differ.

    The server decides which of several sessions gets a row first that they waited for and that was changed. A run in
    which the server decides otherwise than before is a schedule too, and the run is begun again.

    Raises NotRepeatable if TRIES runs take other steps than the run before them, Stuck if a verb does not continue.
    """
    path: list[Choice] = []
    tries = 0
    while True:
        run = begin()
        try:
            for choice in path:
                _repeat(run, choice)
        except NotRepeatable:
            tries += 1
            if tries == TRIES:
                raise
            yield Schedule(tuple(run.order), run.finish(), run.is_deadlocked, redundant=False)
            continue
        tries, redundant = 0, False
        while ready := run.ready():
            asleep = path[-1].asleep_after() if path and reduced else {}
            choice = Choice(ready, asleep, taken=-1)
            if not (left := choice.left()):
                redundant = True
                break
            choice.taken = left[0]
            choice.tried[choice.taken] = run.step(choice.taken)
            path.append(choice)
        order = tuple(run.order)
        yield Schedule(order, run.finish(), run.is_deadlocked, redundant)
        while path and not (left := path[-1].left()):
            path.pop()
        if not path:
            return
        path[-1].taken = left[0]


def _repeat(run: Run, choice: Choice) -> None:
    if run.ready() != choice.ready:
        raise NotRepeatable(f"{run.ready()} could go on, and {choice.ready} before")
    choice.tried[choice.taken] = run.step(choice.taken, choice.tried.get(choice.taken))
