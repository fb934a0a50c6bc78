"""One connection to Redis for one thread, without redis-py's pool, which takes longer than Redis' own work."""

from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from runner_queue.connection import LeavingConnection

# redis ships types for a part of its connections.
# mypy: disable-error-code="no-untyped-call"


class RawConnection:
    """A connection with the settings of `client`. It connects at its first use, and again after a failure."""

    def __init__(self, client: Redis) -> None:
        self._connection = client.connection_pool.make_connection()

    def execute(self, *commands: tuple[str | bytes | float, ...]) -> list[Any]:
        """Send the commands together. Return the answers; a refused command's answer is a ResponseError.

        Raises redis.exceptions.ConnectionError or TimeoutError; the commands may have been executed then. If the
        server has closed the connection since the last call, a new one is made before anything is sent.
        """
        connection = self._connection
        if connection.is_connected and self._has_hung_up():
            connection.disconnect()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [self._answer() for _ in commands]
        except RedisError:
            connection.disconnect()  # the next command must not read an answer to this one
            raise

    def refused(self, reply: str) -> None:
        """Note an error reply that a script has caught, because it may require the connection to be closed."""
        if isinstance(self._connection, LeavingConnection):
            self._connection.refused(reply)

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as refused:
            return refused

    def _has_hung_up(self) -> bool:
        try:
            return self._connection.can_read()  # the server has closed it, or sent an answer without a command
        except RedisConnectionError:
            return True
