"""Calls to the providers of the models: ask one question, get one answer or one failure for good."""

from runner_worker.providers.ask import Ask, CallFailed, Reply
from runner_worker.providers.calls import Providers

__all__ = ["Ask", "CallFailed", "Providers", "Reply"]
