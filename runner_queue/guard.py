"""Checks whether this process may use its Redis: whether it is its own stack's, and whether the server is usable."""

import logging
import time
from collections.abc import Callable

import psycopg
from psycopg_pool import PoolTimeout
from redis import Redis
from redis.exceptions import RedisError

from runner_core.errors import ConfigError, NotReady
from runner_core.telemetry import REDIS_UNFIT
from runner_core.timeline import Fence
from runner_queue import stack_marker
from runner_queue.inspection import inspect
from runner_queue.timeline import tell

log = logging.getLogger("redis")
LOOK_SECONDS = 5.0
INSPECT_SECONDS = 60.0
RETRY_SECONDS = 0.5
FOREIGN_SECONDS = LOOK_SECONDS + 1  # longer than the owner needs to set its marker again in an emptied Redis
UNKNOWN = "this process has not yet read the stack marker in Redis"
REASONS = ("another_stack", "cluster", "commands", "login", "replica")


class Guard:
    """Decides whether this process may use its Redis. `look` checks this during the work. `foreign` is the last result:
    the reason why the process may not use Redis, or empty.

    `uses` are the commands that the login needs. A publisher sets the stack marker (`owns`), a worker only reads it.
    In its own stack's Redis the guard also keeps the highest timeline that `fence` knows. `identify` reads the identity
    `own` again when the database has moved to another server.
    """

    def __init__(
        self,
        redis: Redis,
        own: str,
        uses: dict[str, tuple[str, ...]],
        *,
        owns: bool,
        fence: Fence | None = None,
        identify: Callable[[], str] | None = None,
    ) -> None:
        self._redis, self._own, self._uses, self._owns = redis, own, uses, owns
        self._fence, self._identify = fence or Fence(), identify
        self._former, self._server = "", own.partition("/")[0]
        self._next_look = self._next_inspection = 0.0
        self._told: dict[str, str] = {}
        self._eviction = ""
        self.foreign = UNKNOWN
        for reason in REASONS:
            REDIS_UNFIT.labels(reason).set(0)

    def admit(self, seconds: float) -> None:
        """Wait until the process may start. Return also if Redis does not answer, because Redis may start later.

        Raises ConfigError for a server that can't be used, and NotReady if the marker of another stack is still there
        after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                if unfit := self._inspect():
                    raise ConfigError(unfit.values())
                self._ask_owner()
            except RedisError as error:  # no answer, or a temporary refusal
                log.warning("can't read the stack marker in Redis, trying again: %s", error)
                return
            if not self.foreign:
                return
            if time.monotonic() + RETRY_SECONDS > deadline:
                raise NotReady(self.foreign)
            time.sleep(RETRY_SECONDS)

    def look(self) -> str:
        """Check again if a check is due, log changes, and return `foreign`. Does not raise if Redis does not answer."""
        now = time.monotonic()
        try:
            if now >= self._next_inspection:
                self._inspect()
            if now >= self._next_look:
                self._ask_owner()
        except RedisError:  # the next push or take will log it
            self._leave()
            pause = RETRY_SECONDS if self.foreign == UNKNOWN else LOOK_SECONDS
            self._next_look = self._next_inspection = now + pause
        return self.foreign

    def _inspect(self) -> dict[str, str]:
        found = inspect(self._redis, self._uses)
        self._next_inspection = time.monotonic() + INSPECT_SECONDS
        if "replica" in found.unfit:
            self._leave()
            self._next_inspection = time.monotonic() + LOOK_SECONDS
        if found.eviction != self._eviction:
            self._eviction = found.eviction
            log.warning("%s", found.eviction or "maxmemory-policy is noeviction again")
        self._tell({reason: found.unfit.get(reason, "") for reason in REASONS if reason != "another_stack"})
        return found.unfit

    def _ask_owner(self) -> None:
        self._notice_another_server()
        if self._owns:
            owner, refused = stack_marker.own(self._redis, self._own, self._former)
            if refused:
                self._leave()
        else:
            owner = stack_marker.owner_in(self._redis, self._own)
        self.foreign = stack_marker.another(owner, self._own)
        self._next_look = time.monotonic() + (FOREIGN_SECONDS if self.foreign else LOOK_SECONDS)
        self._tell({"another_stack": self.foreign})
        if not self.foreign:
            tell(self._redis, self._fence, stack_marker.cell_in(self._own))

    def _notice_another_server(self) -> None:
        """Read the identity again if the database's address leads to another server now: after an upgrade or a restore.

        A process that kept its first identity would keep the processes out that start with the new one.
        """
        highest = self._fence.highest
        if self._identify is None or highest is None or highest.server == self._server:
            return
        try:
            own = self._identify()
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("can't read the identity of the database's new server, trying again: %s", error)
            return
        self._server = highest.server
        if own != self._own:
            self._own, self._former = own, self._own

    def _leave(self) -> None:
        """Close the idle connections, because after a failover the address leads to another server.

        A server that has become a replica still answers INFO and GET, so its connections would be kept for ever.
        """
        self._redis.connection_pool.disconnect(inuse_connections=False)

    def _tell(self, found: dict[str, str]) -> None:
        """Log the changes, and set the gauge."""
        for reason, sentence in found.items():
            if sentence != self._told.get(reason, ""):
                if sentence:
                    log.error("%s", sentence)
                else:
                    log.info("resolved: %s", self._told[reason])
                self._told[reason] = sentence
            REDIS_UNFIT.labels(reason).set(bool(sentence))
