"""The engine of a worker process: it claims region runs, makes their calls, and records what came."""

from runner_worker.engine.engine import EngineBroken, Message, RegionRunner

__all__ = ["EngineBroken", "Message", "RegionRunner"]
