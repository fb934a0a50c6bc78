"""The request to a provider, and the provider's answer."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, Protocol

from runner_core.errors import BeaconError
from runner_core.upstreams import UpstreamModel
from runner_worker.providers.failures import TryFailed


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question to one model in one region: one paid call. Every try sends the same request.

    `parameters`: the values to send, by the jobs' names (PARAMETERS); what is missing is not sent. `system_prompt` is
    apart from them; `seed` may be given by itself. `deadline` is in seconds of time.monotonic() and limits all tries
    together.
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
    seed: InitVar[int | None] = None

    def __post_init__(self, seed: int | None) -> None:
        if seed is not None:
            object.__setattr__(self, "parameters", {**self.parameters, "seed": seed})


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one try. `refused` is true only if the provider itself marked the answer as a refusal.

    `filter` is `input` or `output` if the provider's filter blocked the prompt or the answer; `filter_words` is what
    the filter said, `partial` the part of a blocked answer that arrived. `thoughts`: the model's reasoning, which is no
    part of the answer. `other_parts`: the types of parts that are not text. `served`: who answered, as the provider
    says: `model`, `fingerprint`, `service_tier`, `upstream`, `geography`, `request_id`, each if known, as `who_served`
    cleans them.
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
    parameters as sent. `paid`: whether the call was paid for: `no`, `maybe` or `yes`. `waited_ms`: from the
    beginning of Providers.ask to the request of the successful try; `answered_ms`: the successful try alone.
    """

    answer: Answer
    refusal_source: str | None  # "filter", "provider", "rules" or "pattern"
    provider_id: str
    calls: int
    errors: list[dict[str, Any]]
    unreached: tuple[int, ...] = ()
    sent: Mapping[str, Any] = field(default_factory=dict)
    paid: str = "yes"
    waited_ms: int = 0
    answered_ms: int = 0

    @property
    def response(self) -> str:
        """Return the answer's text, which is empty if a filter blocked it."""
        return self.answer.text

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
        """Send one request. Raises TryFailed, or Filtered if the provider's filter blocked the prompt."""


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
