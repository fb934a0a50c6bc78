"""A provider without a model: gives simulated answers, the same for the same question, and failures on request.

It serves demonstrations, tests, and benchmarks, which measure this system and not a provider. For the benchmarks' sake
it imports no HTTP client and starts no thread. The options in the regions file:

    delay_seconds = 0.5        each call takes that long
    refuse = ["taiwan_status"] these questions are refused; true: every one
    fail = "http_503"          every call fails with this code of FAULTS
    hang = true                never answers; ends at the deadline
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from runner_worker.providers.ask import FAULTS, Answer, Ask, TryFailed, pause

STATEMENTS = (
    "The question has a short answer and a long history.",
    "Sources agree on the main facts and differ on their weight.",
    "There are several views, each with reasonable arguments.",
    "The record is well documented and widely published.",
    "What is known is clear; what follows from it is debated.",
)
ACCENTS = ("Historians add context.", "Officials describe it differently.", "Observers note the consequences.", "")
FOREVER = 1e9  # seconds; the deadline comes first


class Sandbox:
    """Gives simulated answers. The constructor raises ValueError; its arguments are one sentence per mistake."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        delay, refuse, fail = options.get("delay_seconds", 0), options.get("refuse", False), options.get("fail", "")
        hang = options.get("hang", False)
        mistakes = [f"{name} is not an option of a sandbox" for name in sorted(options.keys() - OPTIONS)]
        if type(delay) not in (int, float) or not 0 <= delay < FOREVER:
            mistakes.append("delay_seconds must be a number of seconds")
        if not isinstance(refuse, bool) and not (isinstance(refuse, list) and all(isinstance(q, str) for q in refuse)):
            mistakes.append("refuse must be true or a list of question ids")
        if not isinstance(fail, str) or (fail and fail not in FAULTS):
            mistakes.append(f"fail must be one of {', '.join(FAULTS)}")
        if not isinstance(hang, bool):
            mistakes.append("hang must be true or false")
        if mistakes:
            raise ValueError(*mistakes)
        self._delay = FOREVER if hang else float(delay)
        self._refuse_all = refuse is True
        self._refuse = frozenset(refuse if isinstance(refuse, list) else ())
        self._fail = fail

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters that a provider would be sent."""
        return dict(ask.parameters)

    async def send(self, ask: Ask) -> Answer:
        """Raises TryFailed."""
        if self._delay:
            await pause(self._delay, ask.deadline, "response")
        if self._fail:
            raise TryFailed(self._fail)
        if self._refuse_all or ask.question_id in self._refuse:
            return Answer(REFUSAL, True, finish_reason="stop", usage=_usage(ask.prompt, REFUSAL), simulated=True)
        # Model and question choose the statement; the accent also depends on the region, so that regions differ a bit.
        shared = blake2b(f"{ask.model_id}\0{ask.question_id}".encode(), digest_size=1).digest()[0]
        own = blake2b(f"{ask.model_id}\0{ask.question_id}\0{ask.region}".encode(), digest_size=1).digest()[0]
        statement, accent = STATEMENTS[shared % len(STATEMENTS)], ACCENTS[own % len(ACCENTS)]
        text = f"Simulated answer from {ask.region}. {statement} {accent}".rstrip()
        return Answer(text, finish_reason="stop", usage=_usage(ask.prompt, text), simulated=True)


OPTIONS = frozenset({"delay_seconds", "refuse", "fail", "hang"})
REFUSAL = "I can't help with that question. (Simulated refusal.)"


def _usage(prompt: str, text: str) -> dict[str, Any]:
    """Return estimated token counts: four characters per token."""
    prompt_tokens, completion_tokens = len(prompt) // 4 + 1, len(text) // 4 + 1
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
