"""Decides what a complete answer is: usable, refused, blocked by a filter, or without text. For every protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner_core.refusals import FILTERS
from runner_worker.providers.ask import Answer
from runner_worker.providers.content import Content
from runner_worker.providers.failures import TryFailed
from runner_worker.providers.text import clean

LONGEST_REASON = 64
# How protocols and gateways say that an answer ended at the token limit; we say `length`.
AT_THE_LIMIT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"})
LONGEST_FILTER_WORDS = 2000


class Reading:
    """An answer that is being read: why it ended, its tokens, and who served it."""

    def __init__(self, reason: str | None, usage: dict[str, Any], served: Mapping[str, str]) -> None:
        self.reason = clean(reason)[0][:LONGEST_REASON] if reason is not None else None
        if reason and reason.lower() in AT_THE_LIMIT:
            self.reason = "length"
        self.folded_reason = (self.reason or "").lower()
        self.usage = usage
        self.served = served

    def answer(self, content: Content, filter_words: Sequence[str] = ()) -> Answer:
        """Return the answer. The reason is looked at before the text. Raises TryFailed if there is no text.

        `filter_words`: what the filter says, if it was one.
        """
        words, refusal = ", ".join(filter_words), clean(content.refusal)[0]
        # A refusal in the model's own words is one by the provider, although `refusal` is a filter's reason too.
        own_words = bool(refusal.strip()) and self.folded_reason == "refusal"
        if self.folded_reason in FILTERS.reasons and not own_words:
            return self.blocked(content, " ".join(part for part in (refusal, words) if part.strip()))
        text, thoughts, sanitised = content.cleaned()
        if not text.strip():
            text = refusal
        if not text.strip():
            code = "token_limit" if self.folded_reason == "length" else "empty_response"
            raise self.failed(code, partial=thoughts)
        return self._answer(text, content, sanitised, thoughts=thoughts, refused=bool(refusal.strip()))

    def blocked(self, content: Content, words: str) -> Answer:
        """Return the answer that a filter blocked; `words`: what the filter says."""
        text, thoughts, sanitised = content.cleaned()
        return self._answer("", content, sanitised, thoughts=thoughts, filter="output",
                            filter_words=clean(words)[0][:LONGEST_FILTER_WORDS], partial=text)  # fmt: skip

    def failed(self, code: str, **details: Any) -> TryFailed:
        """Return a failure of this answer with its tokens and who served it. `details`: as TryFailed's."""
        return TryFailed(code, http_status=200, usage=self.usage, served=self.served, **details)

    def _answer(self, text: str, content: Content, sanitised: bool, **more: Any) -> Answer:
        return Answer(
            text=text,
            other_parts=tuple(content.other_parts),
            served=self.served,
            finish_reason=self.reason,
            usage=self.usage,
            sanitised=sanitised,
            **more,
        )
