"""Checks repeatedly what changes without an event: breakers that close, batches that become due."""

import asyncio
import logging
from collections.abc import Callable

from runner_worker.engine.capacity import Capacity
from runner_worker.engine.provider_states import ProviderStates
from runner_worker.engine.recorder import Recorder

log = logging.getLogger("worker")
TICK_SECONDS = 0.5
SLOW_SECONDS = 1.0


async def look_on(
    capacity: Capacity, recorder: Recorder, states: ProviderStates, turned: Callable[[], None] = lambda: None
) -> None:
    """Check every TICK_SECONDS whether a breaker has opened or closed, or a kept batch is due; then call `turned`.

    Runs in the engine's event loop, and logs a loop that is late, because then something has blocked it.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += TICK_SECONDS
        await asyncio.sleep(due - loop.time())
        if (late := loop.time() - due) > SLOW_SECONDS:
            log.warning("the event loop was late by %.1f s with %d runs", late, capacity.runs())
            due = loop.time()
        capacity.look()
        recorder.look()
        states.look()
        turned()
