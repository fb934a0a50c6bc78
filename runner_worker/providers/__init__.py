"""Calls to the providers of the models: one question gets one answer, or fails after its last try.

Ask, Answer, TryFailed and Filtered are what an adapter needs, also one of another distribution (docs/providers.md).
"""

from runner_worker.providers.ask import Answer, Ask, CallFailed, Filtered, Reply, TryFailed
from runner_worker.providers.calls import Providers

__all__ = ["Answer", "Ask", "CallFailed", "Filtered", "Providers", "Reply", "TryFailed"]
