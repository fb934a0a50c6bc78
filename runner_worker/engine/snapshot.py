"""The public state of an engine, and the error of an engine that has stopped working."""

from dataclasses import dataclass

from runner_core.errors import BeaconError
from runner_worker.engine.runs import Run


class EngineBroken(BeaconError):
    """A part of the worker's engine has ended with an error; its process has to be started again."""


@dataclass(frozen=True)
class Snapshot:
    """The state of an engine at one moment: its region runs, and the numbers of calls in hand and in flight."""

    held: list[Run]
    in_hand: int
    in_flight: int
    broken: bool
