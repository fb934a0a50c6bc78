"""Calls to the providers of the models: one question gets one answer, or fails after its last try.

Ask, Answer, TryFailed and Filtered are what an adapter needs, also one of another distribution (docs/providers.md).
"""

from runner_worker.providers.ask import Answer, Ask, CallFailed, Reply
from runner_worker.providers.calls import Providers
from runner_worker.providers.failures import Filtered, TryFailed

__all__ = ["Answer", "Ask", "CallFailed", "Filtered", "Providers", "Reply", "TryFailed"]
