"""Makes a call: sends its tries, pauses between them, and keeps the errors of failed tries."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner_core.errors import ConfigError
from runner_core.refusals import prepare, refuses
from runner_core.regions import Catalogue, Provider
from runner_core.settings import Settings
from runner_core.telemetry import PROVIDER_PAID, PROVIDER_REQUESTS, PROVIDER_TOKENS, series
from runner_core.upstreams import UpstreamModel
from runner_worker.providers.ask import Adapter, Answer, Ask, CallFailed, Reply, pause
from runner_worker.providers.breaker import Gate
from runner_worker.providers.build import Builder
from runner_worker.providers.failures import MAYBE_SENT, Filtered, TryFailed
from runner_worker.providers.outcomes import PAID
from runner_worker.providers.retries import Retries
from runner_worker.providers.state import ModelState
from runner_worker.providers.text import clean

log = logging.getLogger(__name__)

ERRORS_KEPT = 10
REFUSAL_WITHIN = 600  # characters: a refusal is at the beginning of an answer; later such words may be a quotation
TOKENS = (("prompt_tokens", "input"), ("completion_tokens", "output"))


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
        self._retries = Retries(settings.worker.provider_max_tries, backoff_seconds)
        self._refusals = catalogue.refusal_patterns
        prepare()  # or the first answer would hold the event loop for 0.2 s
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
        A program that asks by hand may give a name alone as `upstream`: then the model is asked as the provider is
        configured for it. Raises CallFailed. A cancelled task gets CallFailed `cancelled` too, not CancelledError,
        because the caller needs to know which tries reached the provider.
        """
        line = self._lines[provider.id]
        if not isinstance(ask.upstream, UpstreamModel):
            ask = replace(ask, upstream=provider.models[ask.model_id])
        asked = time.monotonic()
        errors: list[dict[str, Any]] = []
        unreached: list[int] = []
        sent: Mapping[str, Any] = {}
        paid, rest = "no", 0.0
        while True:
            number = len(errors) + 1
            begun = number == 1
            try:
                await pause(rest, ask.deadline)
                async with line.gate.admitted(ask.model_id, ask.deadline):
                    if begin and not begun and not await begin(number):
                        raise TryFailed("cancelled")
                    begun = True
                    sent = sent or _sent(line.adapter, ask)
                    sending = time.monotonic()
                    answer = await _answer(line.adapter, ask)
                    _check_place(provider, answer)
            except (TryFailed, asyncio.CancelledError) as stopped:
                failed = stopped if isinstance(stopped, TryFailed) else TryFailed("cancelled")
                if begun and failed.stage not in MAYBE_SENT:
                    unreached.append(number)
                paid = max(paid, failed.paid, key=PAID.index)
                next_rest = self._retries.rest(failed, errors, ask.deadline)
                self._tell(provider, ask, failed, next_rest)
                error = failed.error(ask, provider.id)
                if next_rest is None:
                    series(PROVIDER_PAID, provider.region, provider.id, paid).inc()
                    calls, earlier = number - (not begun) - len(unreached), errors[-ERRORS_KEPT:]
                    detail = failed.sentence(provider.id)
                    raise CallFailed(error, detail, calls, earlier, tuple(unreached), sent, paid) from None
                errors.append(error)
                rest = next_rest
            else:
                paid = max(paid, "no" if answer.filter == "input" else "yes", key=PAID.index)
                series(PROVIDER_PAID, provider.region, provider.id, paid).inc()
                times = {"waited_ms": _ms(sending - asked), "answered_ms": _ms(time.monotonic() - sending)}
                return self._reply(provider, ask, answer, errors, tuple(unreached), sent=sent, paid=paid, **times)

    def is_open(self, provider_id: str, model_id: str) -> bool:
        """Return whether the breaker of a provider's model is open or half open."""
        return provider_id in self._lines and self._lines[provider_id].gate.is_open(model_id)

    def states(self, also: Iterable[tuple[str, str]] = ()) -> list[ModelState]:
        """Return the state of each (provider, model) that was asked, and of those in `also`. In the event loop."""
        asked = {(provider_id, model) for provider_id, line in self._lines.items() for model in line.gate.models()}
        return [self._lines[provider_id].gate.state(model) for provider_id, model in asked.union(also)]

    def idle_connections(self) -> int:
        """Return how many connections are idle."""
        return sum(connections.idle() for connections in self._builder.origins())

    def close(self) -> None:
        """Close the idle connections. Call this in the event loop that called `ask`, or after the loop has ended."""
        self._builder.close()

    def _reply(
        self,
        provider: Provider,
        ask: Ask,
        answer: Answer,
        errors: list[dict[str, Any]],
        unreached: tuple[int, ...],
        **more: Any,
    ) -> Reply:
        """Count an answer and return the call's result; `more` are further fields of Reply."""
        series(PROVIDER_REQUESTS, provider.region, provider.id, "ok").inc()
        _count_tokens(ask, answer.usage)
        return Reply(
            answer=answer,
            refusal_source=self._refusal_source(ask, answer),
            provider_id=provider.id,
            calls=len(errors) + 1 - len(unreached),
            errors=errors[-ERRORS_KEPT:],
            unreached=unreached,
            **more,
        )

    def _refusal_source(self, ask: Ask, answer: Answer) -> str | None:
        """Return who says that the answer is a refusal. Rules and patterns see the text without the thoughts."""
        if answer.filter:
            return "filter"
        if answer.refused:
            return "provider"
        if refuses(ask.prompt, answer.text, answer.finish_reason):
            return "rules"
        opening = answer.text[:REFUSAL_WITHIN]
        return "pattern" if any(pattern.search(opening) for pattern in self._refusals) else None

    def _tell(self, provider: Provider, ask: Ask, failed: TryFailed, rest: float | None) -> None:
        """Count and log a failed try. The log omits the provider's error text, because it may repeat the prompt."""
        if failed.code == "cancelled":
            return
        series(PROVIDER_REQUESTS, provider.region, provider.id, failed.code).inc()
        _count_tokens(ask, failed.usage)
        log.info(
            "provider try failed provider=%s region=%s model=%s request_id=%s code=%s %s",
            provider.id,
            ask.region,
            ask.model_id,
            ask.request_id,
            failed.code,
            "given_up" if rest is None else f"retry_in_ms={rest * 1000:.0f}",
        )


def _sent(adapter: Adapter, ask: Ask) -> Mapping[str, Any]:
    """Return the parameters as sent. Raises TryFailed `adapter_failed`: the request was not sent."""
    try:
        return adapter.sent(ask)
    except Exception:  # noqa: BLE001 - an adapter may be anybody's, and its errors end one call alone
        raise _adapter_failed(ask, stage="waiting", paid="no") from None


async def _answer(adapter: Adapter, ask: Ask) -> Answer:
    """Return the answer to one request. Raises TryFailed, also if the task is cancelled."""
    try:
        return await adapter.send(ask)
    except Filtered as blocked:
        return Answer("", filter="input", filter_words=clean(blocked.words)[0], served=blocked.served)
    except asyncio.CancelledError:  # where the adapter does not say how far the request has come
        raise TryFailed("cancelled", stage="response") from None
    except TryFailed:
        raise
    except Exception:  # noqa: BLE001 - as above
        raise _adapter_failed(ask) from None


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _adapter_failed(ask: Ask, **details: str) -> TryFailed:
    """Log the exception that is being handled, with its traceback, and return it as a failed try."""
    log.exception("adapter failed region=%s model=%s request_id=%s", ask.region, ask.model_id, ask.request_id)
    return TryFailed("adapter_failed", stage=details.get("stage"), paid=details.get("paid"))


def _check_place(provider: Provider, answer: Answer) -> None:
    """Raise TryFailed `wrong_region` if the answer says that it comes from elsewhere than the provider's geography."""
    place = answer.served.get("geography")
    if provider.geography and place and place.casefold() != provider.geography.casefold():
        raise TryFailed("wrong_region", words=repr(place[:64]), usage=answer.usage, served=answer.served)


def _count_tokens(ask: Ask, usage: Mapping[str, Any]) -> None:
    for count, direction in TOKENS:
        series(PROVIDER_TOKENS, ask.region, ask.model_id, direction).inc(usage.get(count, 0))
