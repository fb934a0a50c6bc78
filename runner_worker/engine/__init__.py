"""The engine of a worker process: it claims region runs, makes their calls, and records the answers."""

from runner_worker.engine.engine import RegionRunner
from runner_worker.engine.runs import Message
from runner_worker.engine.snapshot import EngineBroken

__all__ = ["EngineBroken", "Message", "RegionRunner"]
