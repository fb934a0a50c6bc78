"""What others may see of an engine."""

from dataclasses import dataclass

from runner_core.errors import BeaconError
from runner_worker.engine.runs import Run


class EngineBroken(BeaconError):
    """A part of the worker's engine has ended by an error; its process has to be started again."""


@dataclass(frozen=True)
class Snapshot:
    """What an engine has at a moment: region runs, calls without an answer, calls with a place."""

    held: list[Run]
    in_hand: int
    in_flight: int
    broken: bool
