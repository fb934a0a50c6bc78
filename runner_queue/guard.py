"""Whether this process may use its Redis: whose it is, and whether the server is fit."""

import logging
import time

from redis import Redis
from redis.exceptions import RedisError

from runner_core.errors import ConfigError, NotReady
from runner_core.telemetry import REDIS_UNFIT
from runner_queue import stack_marker
from runner_queue.inspection import inspect

log = logging.getLogger("redis")
LOOK_SECONDS = 5.0
INSPECT_SECONDS = 60.0
RETRY_SECONDS = 0.5
FOREIGN_SECONDS = LOOK_SECONDS + 1  # later than the owner, who sets the marker of an emptied Redis again
UNKNOWN = "Redis has not yet said which stack it belongs to"
REASONS = ("another_stack", "cluster", "commands", "login", "replica")


class Guard:
    """Decides whether this process may use its Redis. `look` checks beside the work; `foreign` is the last result: why
    the process may not use Redis, empty when it may.

    `uses` are the commands that the login needs. A publisher sets the stack marker (`owns`), a worker only reads it.
    """

    def __init__(self, redis: Redis, own: str, uses: dict[str, tuple[str, ...]], *, owns: bool) -> None:
        self._redis, self._own, self._uses, self._owns = redis, own, uses, owns
        self._next_look = self._next_inspection = 0.0
        self._told: dict[str, str] = {}
        self._eviction = ""
        self.foreign = UNKNOWN
        for reason in REASONS:
            REDIS_UNFIT.labels(reason).set(0)

    def admit(self, seconds: float) -> None:
        """Return when the process may start, also when Redis does not answer: Redis may come later.

        Raises ConfigError for a server that can't be used at all, NotReady when the marker of another stack is still
        there after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                if unfit := self._inspect():
                    raise ConfigError(unfit.values())
                self._ask_owner()
            except RedisError as error:  # no answer, or a refusal that may pass
                log.warning("Redis can't be asked whose it is, and is asked again: %s", error)
                return
            if not self.foreign:
                return
            if time.monotonic() + RETRY_SECONDS > deadline:
                raise NotReady(self.foreign)
            time.sleep(RETRY_SECONDS)

    def look(self) -> str:
        """Check again when a check is due, log what has changed, and return `foreign`. Redis may be away."""
        now = time.monotonic()
        try:
            if now >= self._next_inspection:
                self._inspect()
            if now >= self._next_look:
                self._ask_owner()
        except RedisError:  # the push or the take that fails is logged
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
        if self._owns:
            owner, refused = stack_marker.own(self._redis, self._own)
            if refused:
                self._leave()
        else:
            owner = stack_marker.owner_in(self._redis)
        self.foreign = stack_marker.another(owner, self._own)
        self._next_look = time.monotonic() + (FOREIGN_SECONDS if self.foreign else LOOK_SECONDS)
        self._tell({"another_stack": self.foreign})

    def _leave(self) -> None:
        """Close the idle connections: after a failover the address leads to another server.

        A server that became a replica still answers INFO and GET, so connections to it would be kept for ever.
        """
        self._redis.connection_pool.disconnect(inuse_connections=False)

    def _tell(self, found: dict[str, str]) -> None:
        """Log and count what has changed."""
        for reason, sentence in found.items():
            if sentence != self._told.get(reason, ""):
                if sentence:
                    log.error("%s", sentence)
                else:
                    log.info("over: %s", self._told[reason])
                self._told[reason] = sentence
            REDIS_UNFIT.labels(reason).set(bool(sentence))
