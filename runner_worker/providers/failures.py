"""The failure of one request to a provider, and the filter that blocked a prompt."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from runner_core.error_detail import error_detail, of_call
from runner_core.timestamps import timestamp
from runner_core.upstreams import UpstreamModel
from runner_worker.providers.outcomes import FAULTS, PARAMETER_REMEDY, PERMANENT_STATUSES, code_of_status
from runner_worker.providers.text import clean

LONGEST_MESSAGE = 300  # characters of a provider's error text that an error object keeps
LONGEST_PARTIAL = 8000  # characters of a broken-off answer that an error object keeps
MAYBE_SENT = ("request", "response", "answer")  # stages in which the provider may have seen the request


class Asked(Protocol):
    """The members of a request that an error object tells."""

    @property
    def region(self) -> str: ...
    @property
    def model_id(self) -> str: ...
    @property
    def upstream(self) -> UpstreamModel: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...


class TryFailed(Exception):
    """One request to a provider failed; `code` is one of FAULTS.

    `words`: the provider's error text (untrusted). `note`: what the sentence adds, such as a redirect's target.
    `retry_after`: the seconds that the provider asks to wait. `stage`: where the try failed, if not at the code's usual
    stage; a deadline can pass at any stage. `paid`: whether the request was paid for, if not as usual for the code.
    `usage`, `served`, `partial`: the tokens, who answered, and the text of an answer that can't be used.
    """

    def __init__(
        self,
        code: str,
        *,
        stage: str | None = None,
        words: str = "",
        note: str = "",
        http_status: int | None = None,
        retry_after: float | None = None,
        paid: str | None = None,
        usage: Mapping[str, Any] | None = None,
        served: Mapping[str, str] | None = None,
        partial: str = "",
    ) -> None:
        super().__init__(code)
        self.code = code
        self.fault = FAULTS[code]
        self.stage = stage or self.fault.stage
        self.transient = self.fault.transient
        self.words = words
        self.note = note
        self.http_status = http_status
        self.retry_after = retry_after
        self.usage = usage or {}
        self.served = served or {}
        self.partial = partial
        self.rest_told = ""  # a sentence about the rest that the provider asked for
        # A request that we gave up while the provider worked on it may be paid for.
        given_up = self.fault.breaker == "nothing" and self.stage in MAYBE_SENT
        self.paid = paid or ("maybe" if given_up else self.fault.paid)

    @classmethod
    def from_status(cls, status: int, words: str = "", retry_after: float | None = None, **details: Any) -> "TryFailed":
        """Return the failure of an HTTP status. `details`: as the constructor's."""
        if status == 524:  # Cloudflare's: the provider took the request and did not answer in time
            details.setdefault("paid", "maybe")
        return cls(code_of_status(status), words=words, http_status=status, retry_after=retry_after, **details)

    @property
    def breaker(self) -> bool | None:
        """Return what the breaker learns: True for a healthy provider, False for a failure, None for nothing."""
        return {"healthy": True, "failure": False}.get(self.fault.breaker)

    def sentence(self, provider_id: str, *, limit: int | None = None, note: str = "") -> str:
        """Return a sentence about the failure without the provider's error text. `limit`: the token limit, if sent."""
        said = self.fault.sentence.format(limit=f" ({limit})" if limit is not None else "")
        named = self.http_status is None or str(self.http_status) in self.fault.sentence
        status = "" if named else f" (HTTP {self.http_status})"
        return f"Provider {provider_id}: {said}{note}{status}."

    def error(self, ask: Asked, provider_id: str) -> dict[str, Any]:
        """Return the error object that is stored and shown; it includes the provider's error text."""
        words = clean(self.words)[0].strip()[:LONGEST_MESSAGE]
        note = clean(self.note)[0][:LONGEST_MESSAGE]
        said = self.sentence(provider_id, limit=ask.parameters.get("max_tokens"), note=note)
        error = error_detail(
            self.code,
            self.fault.kind,
            self.stage,
            " ".join(part for part in (said, self.rest_told, self._remedy(ask), words) if part),
            transient=self.transient,
            http_status=self.http_status,
            provider=provider_id,
        )
        now = timestamp()
        error = of_call(error, ask.region, ask.model_id, now)
        served = {name: value for name, value in self.served.items() if name != "request_id"}
        known = {
            "request_id": self.served.get("request_id"),
            "served": served,
            "usage": dict(self.usage),
            "partial": clean(self.partial)[0][:LONGEST_PARTIAL],
        }
        return error | {name: value for name, value in known.items() if value}

    def _remedy(self, ask: Asked) -> str:
        """Return what to do. A parameter's refusal is known by its name in the provider's text."""
        if self.http_status in PERMANENT_STATUSES & {400, 422}:
            names = [*ask.parameters, *ask.upstream.rename.values()]
            return PARAMETER_REMEDY if _names_one(self.words, names) else ""
        return self.fault.remedy


def _names_one(words: str, names: Iterable[str]) -> bool:
    """Return whether a text has one of the names of parameters as a word of its own: "stopped" is not about `stop`.

    An underscore ends a word, because a protocol may say `stop_sequences`.
    """
    named = "|".join([*map(re.escape, names), "parameters?", "system[ _]role"])
    return re.search(rf"(?<![a-z0-9])(?:{named})(?![a-z0-9])", words, re.IGNORECASE) is not None


class Filtered(Exception):
    """The provider's filter blocked the prompt: a refusal, and no failure. `words`: what the filter said."""

    def __init__(self, words: str, served: Mapping[str, str] | None = None) -> None:
        super().__init__("filtered")
        self.words = words
        self.served = served or {}
