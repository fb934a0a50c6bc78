"""Makes a call: sends its tries, pauses between them, and keeps the errors of failed tries."""

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner_core.errors import ConfigError
from runner_core.regions import Catalogue, Provider
from runner_core.settings import Settings
from runner_core.telemetry import PROVIDER_REQUESTS, PROVIDER_TOKENS, series
from runner_worker.providers.ask import Adapter, Answer, Ask, CallFailed, Reply, TryFailed, pause
from runner_worker.providers.breaker import Gate
from runner_worker.providers.build import Builder

log = logging.getLogger(__name__)

BACKOFF_CAP = 20.0  # seconds
RETRY_AFTER_CAP = 60.0  # seconds: the longest Retry-After that is obeyed
FURTHER_TRIES = {"read_timeout": 1, "malformed_answer": 1}  # limits of tries that were paid for; other codes: max_tries
ERRORS_KEPT = 10
REFUSAL_WITHIN = 600  # characters: a refusal is at the beginning of an answer; later such words may be a quotation
TOKENS = (("prompt_tokens", "input"), ("completion_tokens", "output"))
REACHED = ("request", "response", "answer")  # stages in which the provider may have seen the request


@dataclass(frozen=True, slots=True)
class _Line:
    """The adapter of one provider, and the gate that limits its calls."""

    adapter: Adapter
    gate: Gate


class Providers:
    """Makes calls to all configured providers. A process has one such object, because breakers and limits are kept in
    it. Owned by the event loop that calls `ask`; any thread may call `is_open`.

    The constructor reads the API keys from the variables that the catalogue names, and raises ConfigError with all
    mistakes. Tests pass their own `backoff_seconds`, `breaker_seconds` and `read_seconds`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        env: Mapping[str, str] = os.environ,
        *,
        backoff_seconds: float = 0.5,
        breaker_seconds: float | None = None,  # None: BREAKER_SECONDS
        read_seconds: float = 180.0,  # limit of one try: more than the 150 s after which Modal answers with a redirect
    ) -> None:
        self._max_tries = settings.worker.provider_max_tries
        self._backoff_seconds = backoff_seconds
        self._refusals = catalogue.refusal_patterns
        self._builder = Builder(catalogue, env, read_seconds)
        open_seconds = settings.worker.breaker_seconds if breaker_seconds is None else breaker_seconds
        self._lines = {
            provider.id: _Line(adapter, Gate(provider.id, provider.max_concurrency, open_seconds=open_seconds))
            for provider in catalogue.providers
            if (adapter := self._builder.adapter(provider))
        }
        if self._builder.mistakes:
            raise ConfigError(self._builder.mistakes)

    async def ask(self, provider: Provider, ask: Ask, begin: Callable[[int], Awaitable[bool]] | None = None) -> Reply:
        """Try until there is an answer, a permanent failure, no try left, or `ask.deadline` has passed.

        `begin(number)` is awaited before the request of each try after the first; False ends the call as `cancelled`.
        Raises CallFailed. A cancelled task gets CallFailed `cancelled` too, not CancelledError, because the caller
        needs to know which tries reached the provider.
        """
        line = self._lines[provider.id]
        sent = line.adapter.sent(ask)
        asked = time.monotonic()
        errors: list[dict[str, Any]] = []
        unreached: list[int] = []
        rest = 0.0
        while True:
            number = len(errors) + 1
            begun = number == 1
            try:
                await pause(rest, ask.deadline)
                async with line.gate.admitted(ask.model_id, ask.deadline):
                    if begin and not begun and not await begin(number):
                        raise TryFailed("cancelled")
                    begun = True
                    sending = time.monotonic()
                    answer = await line.adapter.send(ask)
            except (TryFailed, asyncio.CancelledError) as stopped:
                failed = stopped if isinstance(stopped, TryFailed) else TryFailed("cancelled")
                if begun and failed.stage not in REACHED:
                    unreached.append(number)
                calls = number - (not begun) - len(unreached)
                next_rest = self._rest(failed, errors, ask.deadline)
                self._tell(provider, ask, failed, next_rest)
                error = failed.error(ask, provider.id)
                if next_rest is None:
                    detail = failed.sentence(provider.id)
                    raise CallFailed(error, detail, calls, errors[-ERRORS_KEPT:], tuple(unreached), sent) from None
                errors.append(error)
                rest = next_rest
            else:
                return replace(
                    self._reply(provider, ask, answer, errors, tuple(unreached)),
                    sent=sent,
                    waited_ms=int((sending - asked) * 1000),
                    answered_ms=int((time.monotonic() - sending) * 1000),
                )

    def is_open(self, provider_id: str, model_id: str) -> bool:
        """Return whether the breaker of a provider's model is open or half open."""
        return provider_id in self._lines and self._lines[provider_id].gate.is_open(model_id)

    def idle_connections(self) -> int:
        """Return how many connections are idle."""
        return sum(connections.idle() for connections in self._builder.origins())

    def close(self) -> None:
        """Close the idle connections. Call this in the event loop that called `ask`, or after the loop has ended."""
        self._builder.close()

    def _rest(self, failed: TryFailed, errors: list[dict[str, Any]], deadline: float) -> float | None:
        """Return the seconds until the next try, or None for no further try: exponential backoff with full jitter.

        Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        tried = len(errors) + 1
        alike = sum(error["code"] == failed.code for error in errors)
        if alike >= FURTHER_TRIES.get(failed.code, tried):
            failed.transient = failed.transient and failed.code != "malformed_answer"
            return None
        if not failed.transient or tried >= self._max_tries:
            return None
        rest = random.uniform(0, min(BACKOFF_CAP, self._backoff_seconds * 2 ** (tried - 1)))  # noqa: S311 - not a secret
        rest = max(rest, min(failed.retry_after or 0.0, RETRY_AFTER_CAP))
        return rest if time.monotonic() + rest < deadline else None

    def _reply(
        self, provider: Provider, ask: Ask, answer: Answer, errors: list[dict[str, Any]], unreached: tuple[int, ...]
    ) -> Reply:
        series(PROVIDER_REQUESTS, provider.region, provider.id, "ok").inc()
        for count, direction in TOKENS:
            series(PROVIDER_TOKENS, ask.region, ask.model_id, direction).inc(answer.usage.get(count, 0))
        source = "provider" if answer.refused else "pattern" if self._reads_as_refusal(answer.text) else None
        return Reply(
            answer=answer,
            refusal_source=source,
            provider_id=provider.id,
            calls=len(errors) + 1 - len(unreached),
            errors=errors[-ERRORS_KEPT:],
            unreached=unreached,
        )

    def _reads_as_refusal(self, text: str) -> bool:
        opening = text[:REFUSAL_WITHIN]
        return any(pattern.search(opening) for pattern in self._refusals)

    def _tell(self, provider: Provider, ask: Ask, failed: TryFailed, rest: float | None) -> None:
        """Count and log a failed try. The log omits the provider's error text, because it may repeat the prompt."""
        if failed.code == "cancelled":
            return
        series(PROVIDER_REQUESTS, provider.region, provider.id, failed.code).inc()
        log.info(
            "provider try failed provider=%s region=%s model=%s request_id=%s code=%s %s",
            provider.id,
            ask.region,
            ask.model_id,
            ask.request_id,
            failed.code,
            "given_up" if rest is None else f"retry_in_ms={rest * 1000:.0f}",
        )
