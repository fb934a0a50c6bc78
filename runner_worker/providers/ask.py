"""The request to a provider, its answer, and the errors of a try (FAULTS)."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from runner_core.error_detail import error_detail, of_call
from runner_core.errors import BeaconError
from runner_core.upstreams import UpstreamModel

# U+0000 and lone surrogates: PostgreSQL refuses them in text and in jsonb.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
LONGEST_MESSAGE = 300  # characters of a provider's error text that an error object keeps


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question to one model in one region: one paid call. Every try sends the same request.

    `parameters`: the values to send, by the jobs' names (PARAMETERS); what is missing is not sent. `system_prompt` is
    apart from them. `deadline` is in seconds of time.monotonic() and limits all tries together.
    """

    region: str
    model_id: str
    upstream: UpstreamModel
    prompt: str
    deadline: float
    question_id: str = "prompt"
    run_no: int = 0
    system_prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one try. `refused` is true only if the provider itself marked the answer as a refusal.

    `filter` is `input` or `output` if the provider's filter blocked the prompt or the answer; `filter_words` is what
    the filter said, `partial` the part of a blocked answer that arrived. `thoughts`: the model's reasoning, which is no
    part of the answer. `other_parts`: the types of parts that are not text. `served`: who answered, as the provider
    says: `model`, `fingerprint`, `service_tier`, `upstream`, `geography`, `request_id`, each if known.
    """

    text: str
    refused: bool = False
    filter: str | None = None
    filter_words: str = ""
    partial: str = ""
    thoughts: str = ""
    other_parts: tuple[str, ...] = ()
    served: Mapping[str, str] = field(default_factory=dict)
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    simulated: bool = False
    sanitised: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an Ask, after all tries.

    `calls` counts the tries whose request may have reached the provider. `unreached` holds the numbers of the tries
    that have a row and did not reach the provider. `errors` holds the error objects of the failed tries. `sent`: the
    parameters as sent. `paid`: whether the call was paid for: `no`, `maybe` or `yes`. `waited_ms`: from the call's
    beginning to the request of the successful try; `answered_ms`: the successful try alone.
    """

    answer: Answer
    refusal_source: str | None  # "filter", "provider" or "pattern"
    provider_id: str
    calls: int
    errors: list[dict[str, Any]]
    unreached: tuple[int, ...] = ()
    sent: Mapping[str, Any] = field(default_factory=dict)
    paid: str = "yes"
    waited_ms: int = 0
    answered_ms: int = 0

    @property
    def refused(self) -> bool:
        """Return whether the answer is a refusal."""
        return self.refusal_source is not None


class CallFailed(BeaconError):
    """The provider gave no usable answer.

    `error` is the error object that is stored with the execution. It holds the provider's error text, which may repeat
    a prompt. `detail`, the exception's text, does not, and is safe to log. The other attributes are as in Reply.
    """

    def __init__(
        self,
        error: dict[str, Any],
        detail: str,
        calls: int,
        errors: list[dict[str, Any]],
        unreached: tuple[int, ...] = (),
        sent: Mapping[str, Any] | None = None,
        paid: str = "no",
    ) -> None:
        super().__init__(detail)
        self.code: str = error["code"]
        self.error = error
        self.calls = calls
        self.errors = errors
        self.unreached = unreached
        self.sent = sent or {}
        self.paid = paid


class Adapter(Protocol):
    """Sends requests by one kind of provider's protocol. Each protocol has its own module."""

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters of the request as they are sent, without the prompt and without secrets."""

    async def send(self, ask: Ask) -> Answer:
        """Send one request. Raises TryFailed."""


class Fault(NamedTuple):
    """The class of an error code: `kind` is the error object's `type`; a `transient` error may be tried again."""

    kind: str
    stage: str
    transient: bool
    sentence: str


TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
PERMANENT_STATUSES = frozenset({400, 401, 403, 404, 413, 422})

FAULTS: dict[str, Fault] = {
    "cancelled": Fault("cancelled", "waiting", False, "the run was cancelled"),
    "timeout": Fault("timeout", "waiting", False, "the deadline has passed"),
    "provider_unavailable": Fault("unavailable", "waiting", True, "the breaker stayed open until the deadline"),
    "connect_timeout": Fault("timeout", "connect", True, "no connection in time"),
    "connect_failed": Fault("network", "connect", True, "no connection"),
    "write_timeout": Fault("timeout", "request", True, "the provider did not take the request in time"),
    "read_timeout": Fault("timeout", "response", True, "no complete answer in time"),
    "connection_lost": Fault("network", "response", True, "the connection ended before the answer did"),
    "redirect_refused": Fault("http", "response", False, "a redirect other than 303 to the same origin"),
    "answer_too_large": Fault("answer", "response", False, "the answer is larger than the limit"),
    "malformed_answer": Fault("answer", "answer", True, "the answer does not follow the protocol"),
    "empty_response": Fault("answer", "answer", False, "the answer holds no text"),
    "wrong_region": Fault("answer", "answer", False, "the answer comes from another region"),
    "provider_error": Fault("provider", "answer", True, "the provider says that it failed"),
    "provider_refused_request": Fault("provider", "answer", False, "the provider says that the request is wrong"),
    "http_other": Fault("http", "response", False, "an unexpected HTTP status"),
}
for _status in sorted(TRANSIENT_STATUSES | PERMANENT_STATUSES):
    FAULTS[f"http_{_status}"] = Fault("http", "response", _status in TRANSIENT_STATUSES, f"HTTP status {_status}")


class TryFailed(Exception):
    """One request to a provider failed.

    `words`: the provider's error text (untrusted). `retry_after`: the seconds that the provider asks to wait. `stage`:
    where the try failed, if not at the code's usual stage; a deadline can pass at any stage.
    """

    def __init__(
        self,
        code: str,
        *,
        stage: str | None = None,
        words: str = "",
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.fault = FAULTS[code]
        self.stage = stage or self.fault.stage
        self.transient = self.fault.transient
        self.words = words
        self.http_status = http_status
        self.retry_after = retry_after

    @classmethod
    def from_status(cls, status: int, words: str = "", retry_after: float | None = None) -> "TryFailed":
        """Return the failure of an HTTP status. Unlisted statuses share one permanent code, which bounds the number of
        the metric's labels."""
        code = f"http_{status}" if f"http_{status}" in FAULTS else "http_other"
        return cls(code, words=words, http_status=status, retry_after=retry_after)

    def sentence(self, provider_id: str) -> str:
        """Return a sentence about the failure without any text of the provider."""
        named = self.http_status is None or str(self.http_status) in self.fault.sentence
        status = "" if named else f" (HTTP {self.http_status})"
        return f"Provider {provider_id}: {self.fault.sentence}{status}."

    def error(self, ask: Ask, provider_id: str) -> dict[str, Any]:
        """Return the error object that is stored and shown; it includes the provider's error text."""
        words = clean(self.words)[0].strip()[:LONGEST_MESSAGE]
        error = error_detail(
            self.code,
            self.fault.kind,
            self.stage,
            f"{self.sentence(provider_id)} {words}".rstrip(),
            transient=self.transient,
            http_status=self.http_status,
            provider=provider_id,
        )
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return of_call(error, ask.region, ask.model_id, now)


def clean(text: str) -> tuple[str, bool]:
    """Replace each character that PostgreSQL can't store by U+FFFD. Return the text and whether any was replaced."""
    cleaned, replaced = UNSTORABLE.subn("\ufffd", text)
    return cleaned, replaced > 0


async def pause(seconds: float, deadline: float, stage: str = "waiting") -> None:
    """Sleep for `seconds`. Raises TryFailed: `timeout` at an earlier deadline, `cancelled` if the task is cancelled."""
    left = deadline - time.monotonic()
    rest = min(seconds, left)
    if rest > 0:
        try:
            await asyncio.sleep(rest)
        except asyncio.CancelledError:
            raise TryFailed("cancelled", stage=stage) from None
    if left <= 0 or left < seconds:
        raise TryFailed("timeout", stage=stage)
