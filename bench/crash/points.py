"""Learns a verb's exchanges, and runs one point: cut, let the other processes run, wait for the end, check promises."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bench.crash.environment import LATE_ANSWER_SECONDS
from bench.crash.lane import Lane, until
from bench.crash.point import WAYS, Passed, Point, Way
from bench.crash.tally import Tally, check
from bench.crash.verb import CONNECTING, Story, Verb, jobs_ended, statements_of
from bench.crash.verbs import BY_NAME

MET_SECONDS, END_SECONDS = 30.0, 60.0
TRIES = 3
TAIL_SECONDS = 0.15  # time for messages after the last answer: an UNLINK, the end of a transaction


@dataclass(frozen=True)
class Cut:
    """One crash point, cut in one way. `place` is the message's learned position in its exchange."""

    verb: str
    protocol: str
    point: Point
    place: int
    way: Way

    def __str__(self) -> str:
        return f"{self.verb}; {self.protocol} {self.point}; {self.way}"


@dataclass
class Result:
    """The result of a point. `met`: whether its message came within three runs."""

    cut: Cut
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    met: bool = True
    runs: int = 1


@dataclass
class Learned:
    """The messages of a verb: its cuts, the statements that the cuts reach, and all statements in transactions."""

    verb: str
    cuts: list[Cut] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)  # in transactions
    error: str = ""


def learn(lane: Lane, name: str) -> Learned:
    """Run the verb without a fault, at most three times until its exchanges come; return every cut of its messages."""
    error = ""
    for _ in range(TRIES):
        try:
            passed = _pass(lane, BY_NAME[name])
        except (TimeoutError, AssertionError, RuntimeError) as failed:
            error = repr(failed)
            continue
        found = _learned(BY_NAME[name], passed)
        if found.cuts:
            return found
        error = "its exchanges did not come"
    return Learned(name, error=error)


def _pass(lane: Lane, verb: Verb) -> dict[str, list[Passed]]:
    story = _begin(lane, verb)
    for tap in lane.taps.values():
        tap.learn()
    verb.act(lane, story)
    until(lambda: verb.reached(lane, story), f"{verb.name} does its work", END_SECONDS)
    time.sleep(TAIL_SECONDS)
    verb.then(lane, story)
    found = {name: list(tap.exchange) for name, tap in lane.taps.items()}
    _end(lane, story)
    return found


def _learned(verb: Verb, passed: dict[str, list[Passed]]) -> Learned:
    found = Learned(verb.name)
    for protocol, messages in passed.items():
        exchanges: dict[int, list[Passed]] = {}
        for one in messages:
            exchanges.setdefault(one.exchange, []).append(one)
        for exchange in exchanges.values():
            own = list(verb.own(protocol, exchange))
            found.cuts += _cuts(verb, protocol, own)
            if protocol == "postgres":
                found.reached |= {name for name in statements_of(own) if name != CONNECTING}
                if any("BEGIN" in one.point.label for one in exchange):
                    found.seen |= {name for name in statements_of(exchange) if "." in name}
    return found


def _cuts(verb: Verb, protocol: str, own: list[Passed]) -> Iterator[Cut]:
    for one in own:
        for way in WAYS:
            yield Cut(verb.name, protocol, one.point, one.place, way)


def run(lane: Lane, cut: Cut) -> Result:
    """Run one point. A run with other exchanges than the learned ones is repeated, at most three times.

    If the message comes at the same other place each time, it is cut there. If it does not come, the verb is learned
    again: the point is wrong if it still belongs to the verb. In both cases the first learned run was the exception.
    """
    why: list[str] = []
    places: list[int] = []
    for number in range(1, TRIES + 2):
        began = time.monotonic()
        outcome = _run(lane, replace(cut, place=places[0]) if number > TRIES else cut)
        if isinstance(outcome, Tally):
            return Result(cut, time.monotonic() - began, outcome, runs=number)
        why.append(f"at place {outcome}, not {cut.place}" if isinstance(outcome, int) else outcome)
        places += [outcome] if isinstance(outcome, int) else []
        if number == TRIES and (len(places) < TRIES or len(set(places)) > 1):
            break
    again = learn(lane, cut.verb)
    if not again.error and cut not in again.cuts:
        return Result(cut, met=False)
    return Result(cut, tally=Tally(wrong=[f"its message was not met: {', '.join(why)}"]), met=False)


def _run(lane: Lane, cut: Cut) -> Tally | int | str:
    """Run a point once. Return the tally; if its message was not met, its other position or a sentence."""
    verb, tap = BY_NAME[cut.verb], lane.taps[cut.protocol]
    story = _begin(lane, verb)

    def strike(client_port: int) -> None:
        if cut.way == "killed":
            victims = lane.victims.running()
            for victim in [v for v in victims if v.holds(client_port)] or victims:
                victim.send(signal.SIGKILL)

    tap.late_seconds = LATE_ANSWER_SECONDS if cut.protocol == "provider" else verb.late_seconds
    tap.arm(cut.point, cut.way, strike)
    try:
        verb.act(lane, story)
        until(lambda: tap.hit.is_set() or verb.reached(lane, story), "the point", MET_SECONDS)
        tap.hit.wait(TAIL_SECONDS)
    except (TimeoutError, AssertionError) as error:
        if not tap.hit.is_set():
            return str(error)
    if tap.hit_at is None or tap.hit_at.place != cut.place:
        place = tap.hit_at.place if tap.hit_at else None
        _end(lane, story)
        return "the verb ended without it" if place is None else place
    verb.then(lane, story)
    lane.let_go(*(kind for kind in verb.others if kind != "publisher" or not verb.env))
    if verb.env:
        lane.others.start("publisher", lane.direct | verb.env)
    wrong = []
    ended = verb.ended or jobs_ended
    try:
        until(lambda: story.is_told() and ended(lane, story), "the end", END_SECONDS)
    except TimeoutError:
        wrong.append("it did not come to an end")
    tally = check(lane, story, verb, cut.protocol, cut.way)
    tally.wrong = wrong + tally.wrong
    return tally


def _begin(lane: Lane, verb: Verb) -> Story:
    lane.reset()
    story = Story()
    verb.prepare(lane, story)
    if verb.warm:
        verb.warm(lane, story)
    story.facts["staged"] = lane.one(
        "SELECT count(*) FROM job_events WHERE detail ->> 'reason' IN ('lease_expired', 'message_lost')"
    )
    return story


def _end(lane: Lane, story: Story) -> None:
    until(story.is_told, "every client has its answer")
    lane.reset()


def failed(item: str | Cut, error: Exception) -> Learned | Result:
    """Return the result of a point or a verb at which this program itself failed."""
    sentence = f"the net itself failed: {error!r}"
    return Learned(item, error=sentence) if isinstance(item, str) else Result(item, tally=Tally(wrong=[sentence]))
