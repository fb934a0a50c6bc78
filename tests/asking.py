"""Providers on an event loop of their own, for tests whose calls block: ask(...) waits for the answer."""

import asyncio
import threading
from typing import Any

from runner_core.regions import Provider
from runner_worker.providers import Ask, Providers, Reply


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
