"""The Redis client of publisher and workers. It closes a connection whose server refuses commands."""

import re
import time
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection

from runner_queue.refusals import refusal_of
from runner_queue.sentinels import names_sentinels, primarys_client

# redis ships types for a part of its connections.
# mypy: disable-error-code="no-untyped-call"

ASK_SECONDS = 15.0  # between two questions to the Sentinels; while they are silent they cost a few seconds each time
_OF_PIPELINE = re.compile(r"^Command # .* of pipeline caused error: ", re.DOTALL)


def open_client(url: str, *, answer_seconds: float, connect_seconds: float) -> Redis:
    """Return a client of the server at `url`, or of the primary that its Sentinels name.

    Each answer must arrive within `answer_seconds`, blocking time included. redis-py's retries are off: they
    would send a push twice if its reply was lost, and would delay a stop signal. A connection whose server refuses
    commands is closed before the next command, so that the client follows a failover; so is one whose server is not the
    primary any more that the Sentinels name.
    """
    make, kind = (primarys_client, FollowingConnection) if names_sentinels(url) else (Redis.from_url, LeavingConnection)
    client = make(
        url, socket_timeout=answer_seconds, socket_connect_timeout=connect_seconds, retry=Retry(NoBackoff(), 0)
    )
    pool = client.connection_pool
    # plain, TLS, a Unix socket, or the primary that Sentinels name
    pool.connection_class = type("Leaving", (kind, pool.connection_class), {})
    return client


class LeavingConnection(AbstractConnection):
    """A connection that closes itself when its server has refused commands for the time that refusals.py gives."""

    _refused_since = 0.0  # time.monotonic() of the first refusal after which this connection may be closed

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)
        except ResponseError as refused:
            self.refused(text_of(refused))
            raise

    def refused(self, reply: str) -> None:
        """Note an error reply, also one that a script has caught. Answers to sent commands can still be read."""
        seconds = refusal_of(reply).hang_up_after
        if seconds is None:
            return
        self._refused_since = self._refused_since or time.monotonic()
        if time.monotonic() - self._refused_since >= seconds:
            self.mark_for_reconnect()

    def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
        if self.should_reconnect():
            self.disconnect()
        if not self.is_connected:
            self.connect()  # redis-py would connect to the last address, and not ask the Sentinels
        return super().send_packed_command(*args, **kwargs)

    def disconnect(self, *args: Any, **kwargs: Any) -> None:
        self._refused_since = 0.0
        super().disconnect(*args, **kwargs)


class FollowingConnection(LeavingConnection, SentinelManagedConnection):
    """A connection that asks the Sentinels every ASK_SECONDS, before a command, whether it leads to the primary.

    An old primary that only the Sentinels can't reach refuses nothing: a worker would wait there for messages that the
    publishers push to the new one.
    """

    _asked_at = 0.0  # in time.monotonic() seconds

    def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_connected and time.monotonic() - self._asked_at >= ASK_SECONDS and self._is_left_behind():
            self.disconnect()
        return super().send_packed_command(*args, **kwargs)

    def connect(self) -> None:
        self._asked_at = time.monotonic()  # connecting asks them too, and sends commands
        super().connect()

    def _is_left_behind(self) -> bool:
        """Return whether the Sentinels name another server. If none of them answers, the connection stays."""
        try:
            return bool(self.connection_pool.get_master_address() != (self.host, self.port))
        except RedisError:
            return False
        finally:
            self._asked_at = time.monotonic()


def text_of(refused: RedisError) -> str:
    """Return the error reply as the server sent it: redis-py removes a first word that it knows, and a pipeline adds
    the number of the command."""
    word, text = refused.status_code, _OF_PIPELINE.sub("", str(refused))
    return f"{word} {text}" if word else text
