"""A provider without a model: gives simulated answers, the same for the same question, and failures on request.

It serves demonstrations, tests, and benchmarks, which measure this system and not a provider. For the benchmarks' sake
it imports no HTTP client and starts no thread. docs/providers.md lists its options; those in a model's table
come before the provider's.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from runner_core.provider_kinds import BODY_SETTINGS
from runner_core.upstreams import PARAMETERS, Provider, Region
from runner_worker.providers.ask import Answer, Ask, pause
from runner_worker.providers.failures import TryFailed
from runner_worker.providers.outcomes import FAULTS
from runner_worker.providers.requests import renamed, sent_by, system_prompt
from runner_worker.providers.simulated import drawn_text
from runner_worker.providers.text import who_served

STATEMENTS = (
    "The question has a short answer and a long history.",
    "Sources agree on the main facts and differ on their weight.",
    "There are several views, each with reasonable arguments.",
    "The record is well documented and widely published.",
    "What is known is clear; what follows from it is debated.",
)
ACCENTS = ("Historians add context.", "Officials describe it differently.", "Observers note the consequences.", "")
REFUSAL = "I can't help with that question. (Simulated refusal.)"
FOREVER = 1e9  # seconds; the deadline comes first
# Each option of a regions file, and what it must be.
OPTIONS = {
    "delay_seconds": "a number of seconds",
    "refuse": "true or a list of question ids",
    "fail": f"one of {', '.join(FAULTS)}",
    "hang": "true or false",
    "vary": "a number from 0 to 1",
    "shift": "a number from 0 to 1",
    "refuse_parameters": f"a list of some of {', '.join(PARAMETERS)}",
    "geography": "a text",
}


class Sandbox:
    """Gives simulated answers for one provider."""

    api = 1
    simulated = True
    settings = ("options", *BODY_SETTINGS, "system_role", "geography")
    parameters = PARAMETERS
    writes = ("model", "messages", "stream")

    def __init__(self, provider: Provider, http: None = None, catalogue: object = None) -> None:
        """Raises ValueError; its arguments are one sentence per mistake."""
        mistakes = self.mistakes(provider)
        if mistakes:
            raise ValueError(*mistakes)
        self._options = provider.options
        self._of_models = {model_id: model.options for model_id, model in provider.models.items()}

    @staticmethod
    def mistakes(provider: Provider, region: Region | None = None) -> list[str]:
        """Return one sentence per mistake in the options of the provider and of its models."""
        found = _mistakes("", provider.options)
        for model_id, model in provider.models.items():
            found += [mistake for mistake in _mistakes(f"models.{model_id}: ", model.options) if model.options]
        return list(dict.fromkeys(found))

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters that a provider would be sent."""
        return sent_by(ask, renamed(ask), ask.upstream.system_role)

    async def send(self, ask: Ask) -> Answer:
        """Raises TryFailed."""
        options = {**self._options, **self._of_models.get(ask.model_id, {})}
        delay = FOREVER if options.get("hang") else options.get("delay_seconds", 0)
        if delay:
            await pause(float(delay), ask.deadline, "response")
        if code := options.get("fail"):
            raise TryFailed(code)
        _refuse_parameters(options.get("refuse_parameters", ()), ask)
        refuse = options.get("refuse", False)
        refused = refuse is True or (refuse is not False and ask.question_id in refuse)
        if refused:
            text = REFUSAL
        elif "vary" in options or "shift" in options:
            seed = ask.parameters.get("seed") if "seed" in ask.upstream.takes else None
            text = drawn_text(ask.model_id, ask.question_id, seed, options.get("vary", 0.5), options.get("shift", 0))
        else:
            text = _statement(ask)
        served = who_served(model=ask.upstream.name, geography=options.get("geography"))
        usage = _usage(ask.prompt, text)
        return Answer(text, refused, served=served, finish_reason="stop", usage=usage, simulated=True)


def _mistakes(place: str, options: Mapping[str, Any]) -> list[str]:
    found = [f"{place}{name} is not an option of a sandbox" for name in sorted(options.keys() - OPTIONS.keys())]
    wrong = [name for name in OPTIONS if name in options and not _is_right(name, options[name])]
    return found + [f"{place}{name} must be {OPTIONS[name]}" for name in wrong]


def _is_right(name: str, value: Any) -> bool:
    number = type(value) in (int, float)
    match name:
        case "delay_seconds":
            return number and 0 <= value < FOREVER
        case "vary" | "shift":
            return number and 0 <= value <= 1
        case "refuse":
            return isinstance(value, bool) or (isinstance(value, list) and all(isinstance(q, str) for q in value))
        case "refuse_parameters":
            return isinstance(value, list) and all(name in PARAMETERS for name in value)
        case "fail":
            return isinstance(value, str) and (not value or value in FAULTS)
        case "hang":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _refuse_parameters(names: list[str] | tuple[()], ask: Ask) -> None:
    """Fail as a strict model does if the request has a parameter of `names`."""
    given = {name for name in ask.parameters if name in ask.upstream.takes}
    if system_prompt(ask) and ask.upstream.system_role in ("system", "developer"):
        given.add("system_prompt")
    for name in names:
        if name in given:
            words = f"Unsupported parameter: '{name}' is not supported with this model."
            raise TryFailed("http_400", words=words, http_status=400)


def _statement(ask: Ask) -> str:
    """Return a text that model and question choose; its end also depends on the region, so that regions differ."""
    shared = blake2b(f"{ask.model_id}\0{ask.question_id}".encode(), digest_size=1).digest()[0]
    own = blake2b(f"{ask.model_id}\0{ask.question_id}\0{ask.region}".encode(), digest_size=1).digest()[0]
    statement, accent = STATEMENTS[shared % len(STATEMENTS)], ACCENTS[own % len(ACCENTS)]
    return f"Simulated answer from {ask.region}. {statement} {accent}".rstrip()


def _usage(prompt: str, text: str) -> dict[str, Any]:
    """Return estimated token counts: four characters per token."""
    prompt_tokens, completion_tokens = len(prompt) // 4 + 1, len(text) // 4 + 1
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
