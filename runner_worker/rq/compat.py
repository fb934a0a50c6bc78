"""Wraps every private name of RQ that this project uses.

docs/pinned.md lists them; RQ's version is pinned exactly.
"""

import time
from typing import Any

from redis import Redis
from rq import Worker
from rq.job import Job

LISTEN_AGAIN_SECONDS = 2.0


class PatientWorker(Worker):
    """RQ's worker, changed in two ways: it keeps the caller's timeouts, and its subscription survives an outage."""

    def _set_connection(self, connection: Redis) -> Redis:
        """Keep the caller's bounded timeouts: RQ would raise them to minutes."""
        return connection

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """Go on listening for commands after an outage of Redis. The main thread logs the outage."""
        time.sleep(LISTEN_AGAIN_SECONDS)


class JsonJob(Job):
    """RQ's job, whose function and arguments are read by `read_call` instead of RQ's own deserialisation."""

    def read_call(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the function and its keyword arguments. Raises nothing."""
        raise NotImplementedError

    def _deserialize_data(self) -> None:
        self._func_name, self._kwargs = self.read_call()
        self._instance, self._args = None, []
