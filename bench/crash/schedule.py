"""Distributes the points to the lanes, which are processes, and collects their results."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from bench.crash import points
from bench.crash.environment import Site
from bench.crash.lane import Lane
from bench.crash.processes import die_with_parent


class LaneLost(Exception):
    """A lane's process has ended unexpectedly."""


@dataclass
class _Worker:
    process: BaseProcess
    line: "Connection[Any, Any]"


class Lanes:
    """The lanes' processes. `each` gives every item to a lane, and yields the results as they arrive."""

    def __init__(self, workers: list[_Worker]) -> None:
        self._workers = workers

    def learn(self, verbs: Iterable[str]) -> Iterator[points.Learned]:
        """Learn these verbs."""
        return self._each("learn", verbs)

    def run(self, cuts: Iterable[points.Cut]) -> Iterator[points.Result]:
        """Run these points."""
        return self._each("run", cuts)

    def _each(self, what: str, items: Iterable[Any]) -> Iterator[Any]:
        waiting = iter(items)
        busy = {worker.line for worker in self._workers if self._give(worker.line, what, waiting)}
        while busy:
            ready = wait(list(busy))
            for line in [line for line in busy if line in ready]:
                try:
                    found = line.recv()
                except EOFError:
                    raise LaneLost("the process of a lane has ended") from None
                if not self._give(line, what, waiting):
                    busy.discard(line)
                yield found

    def _give(self, line: "Connection[Any, Any]", what: str, waiting: Iterator[Any]) -> bool:
        for item in waiting:
            line.send((what, item))
            return True
        return False


@contextmanager
def lanes(sites: list[Site]) -> Iterator[Lanes]:
    """Start a process for each site, and end them all with the block."""
    context = multiprocessing.get_context("fork")
    workers = []
    try:
        for site in sites:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(site, there, os.getpid()), daemon=False)
            process.start()
            there.close()
            workers.append(_Worker(process, here))
        yield Lanes(workers)
    finally:
        for worker in workers:
            worker.process.kill()  # what it has started ends with it
        for worker in workers:
            worker.process.join(5)


def _serve(site: Site, line: "Connection[Any, Any]", parent: int) -> None:
    die_with_parent()
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the parent's to act on
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lane = Lane(site)
    work: dict[str, Callable[[Lane, Any], Any]] = {"learn": points.learn, "run": points.run}
    with suppress(EOFError, BrokenPipeError):
        while True:
            what, item = line.recv()
            try:
                found = work[what](lane, item)
            except Exception as error:  # noqa: BLE001 - it is told with its point, and the run fails by it
                found = points.failed(item, error)
            line.send(found)
    sys.exit(0)
