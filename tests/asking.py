"""Questions to providers, and providers on an event loop of their own for tests whose calls block."""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from runner_core.regions import Catalogue, Provider, Region
from runner_core.upstreams import UpstreamModel
from runner_worker.providers import Ask, CallFailed, Providers, Reply

KEY = "sk-live-0123456789abcdef"
PROMPT = "What happened in 1989?"
KINDS = ("openai", "hybrid", "anthropic")


class BlockingProviders:
    """The providers, and the thread in which their event loop runs."""

    def __init__(self, *arguments: Any, **seconds: Any) -> None:
        self.providers = Providers(*arguments, **seconds)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def ask(self, provider: Provider, ask: Ask, cancelled: threading.Event | None = None) -> Reply:
        """Ask and wait. Once `cancelled` is set the asking task is cancelled."""
        return asyncio.run_coroutine_threadsafe(self._ask(provider, ask, cancelled), self.loop).result()

    async def _ask(self, provider: Provider, ask: Ask, cancelled: threading.Event | None) -> Reply:
        task = asyncio.ensure_future(self.providers.ask(provider, ask))
        await asyncio.sleep(0)  # it has begun
        while not task.done():
            if cancelled and cancelled.is_set():
                task.cancel()
            await asyncio.wait({task}, timeout=0.01 if cancelled else None)
        return task.result()

    def idle_connections(self) -> int:
        """How many connections wait for the next request."""

        async def count() -> int:
            return self.providers.idle_connections()

        return asyncio.run_coroutine_threadsafe(count(), self.loop).result()

    def close(self) -> None:
        """Close the idle connections, and end the loop and its thread."""
        self.loop.call_soon_threadsafe(self.providers.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


Make = Callable[..., tuple[BlockingProviders, Provider]]


def catalogue_of(*providers: Provider) -> Catalogue:
    return Catalogue(
        sha256="0" * 64,
        default_model="m1",
        questions={},
        regions={
            "US": Region("US", "United States", ("us-east", "us-central"), "", "us-east"),
            "EU": Region("EU", "Europe", ("eu-west",), "", "eu-west"),
        },
        providers=list(providers),
        refusal_patterns=(re.compile(r"\bas an ai\b", re.IGNORECASE),),
    )


def question(seconds: float = 30.0, **changes: Any) -> Ask:
    values: dict[str, Any] = {
        "region": "US",
        "model_id": "m1",
        "upstream": UpstreamModel("upstream-1"),
        "prompt": PROMPT,
        "question_id": "q1",
        "system_prompt": "You are in the US.",
        "parameters": {"temperature": 0.1, "max_tokens": 500, "seed": 7},
        "request_id": "req-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "deadline": time.monotonic() + seconds,
    }
    return Ask(**(values | changes))


def failure(made: tuple[BlockingProviders, Provider], ask: Ask, cancelled: threading.Event | None = None) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        made[0].ask(made[1], ask, cancelled)
    return caught.value
