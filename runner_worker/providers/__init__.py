"""Calls to the providers of the models: one question gets one answer, or fails after its last try."""

from runner_worker.providers.ask import Ask, CallFailed, Reply
from runner_worker.providers.calls import Providers

__all__ = ["Ask", "CallFailed", "Providers", "Reply"]
