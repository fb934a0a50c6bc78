"""The adapter for OpenAI's chat completions protocol, which vLLM, Ollama, llama.cpp, TGI, Modal and OpenRouter serve.

Reference: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner_core.provider_kinds import BODY_SETTINGS, HTTP_SETTINGS
from runner_core.refusals import FILTERS
from runner_core.upstreams import PARAMETERS, Provider
from runner_worker.providers.answers import Reading
from runner_worker.providers.ask import Answer, Ask
from runner_worker.providers.content import Content, content_of
from runner_worker.providers.errors import blocked_categories, failure_within, words_of
from runner_worker.providers.failures import Filtered, TryFailed
from runner_worker.providers.requests import (
    prompt_with_system,
    renamed,
    sent_by,
    system_prompt,
)
from runner_worker.providers.text import geography, request_id, token_counts, who_served

if TYPE_CHECKING:
    from runner_core.regions import Catalogue
    from runner_worker.providers.http import HttpClient


class OpenAI:
    """Asks one provider by HTTP."""

    api = 1
    settings = (*HTTP_SETTINGS, *BODY_SETTINGS, "system_role", "path")
    parameters = PARAMETERS
    model_list = "/models"
    writes = ("model", "messages", "stream")

    def __init__(self, provider: Provider, http: "HttpClient", catalogue: "Catalogue") -> None:
        self._http = http

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters as sent."""
        return sent_by(ask, renamed(ask), ask.upstream.system_role)

    async def send(self, ask: Ask) -> Answer:
        """Raises TryFailed, Filtered."""
        path, document, _ = request(ask)
        received = await self._http.post(path, document, ask)
        return read(received.document, received.headers)


def request(ask: Ask) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return a request's path after the base URL, its JSON object, and what is kept of it."""
    upstream = ask.upstream
    role = upstream.system_role
    if role == "user":
        messages = [{"role": "user", "content": prompt_with_system(ask)}]
    else:
        messages = [{"role": "user", "content": ask.prompt}]
        if (system := system_prompt(ask)) and role != "none":
            messages.insert(0, {"role": role, "content": system})
    parameters = renamed(ask)
    document: dict[str, Any] = {"model": upstream.name, "messages": messages, **parameters}
    # The seed comes last, as in every request since the first release.
    seed = upstream.rename.get("seed", "seed")
    document.pop(seed, None)
    document["stream"] = False
    if seed in parameters:
        document[seed] = parameters[seed]
    document.update(upstream.body)
    return upstream.path or "/chat/completions", document, sent_by(ask, parameters, role)


def read(document: dict[str, Any], headers: Mapping[str, str]) -> Answer:
    """Return the answer in a JSON object of status 200. Raises TryFailed, and Filtered for a blocked prompt.

    `headers`: by their names in lower case.
    """
    usage, served = token_counts(document.get("usage")), _served(document, headers)
    if document.get("error"):
        half = Content(_half_text(document))
        return _broken_off(document, headers, Reading(None, usage, served), half)
    match document:
        case {"choices": [{**choice}, *_]}:
            pass
        case _:
            raise TryFailed("malformed_answer", http_status=200, usage=usage, served=served)
    reason = choice.get("finish_reason")
    message = choice.get("message")
    reading = Reading(reason if isinstance(reason, str) else None, usage, served)
    if message is None and reading.folded_reason in FILTERS.reasons:
        message = {}
    if not isinstance(message, dict):
        raise reading.failed("malformed_answer")
    content, refusal = content_of(message.get("content")), message.get("refusal")
    if not isinstance(refusal, str | None):
        raise reading.failed("malformed_answer")
    content.refusal = refusal or content.refusal
    named = (message.get(name) for name in ("reasoning_content", "reasoning"))
    for thought in dict.fromkeys(thought for thought in named if isinstance(thought, str)):  # some give both
        content.think(thought)
    content.split()
    broken = choice.get("error") or reading.folded_reason == "error"
    if broken and reading.folded_reason not in FILTERS.reasons:
        return _broken_off({"error": choice.get("error") or {}}, headers, reading, content, paid="maybe")
    if message.get("tool_calls"):
        content.other_parts.append("tool_calls")
    said = words_of({"error": choice.get("error")})
    return reading.answer(content, [*blocked_categories(choice), *([said] if said else [])])


def _half_text(document: Mapping[str, Any]) -> str:
    match document:
        case {"choices": [{"message": {"content": str(text)}}, *_]}:
            return text
    return ""


def _broken_off(
    document: Mapping[str, Any], headers: Mapping[str, str], reading: Reading, content: Content, **paid: str
) -> Answer:
    """Raise the failure that an error under status 200 tells. Return the answer if a filter broke off its text."""
    try:
        failed = failure_within(
            document, headers, usage=reading.usage, served=reading.served, partial=content.text, **paid
        )
    except Filtered as blocked:
        if not content.text.strip():
            raise
        return reading.blocked(content, blocked.words)
    raise failed


def _served(document: dict[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    usage = document.get("usage")
    used = usage.get("inference_geo") if isinstance(usage, dict) else None
    return who_served(
        model=document.get("model"),
        fingerprint=document.get("system_fingerprint"),
        service_tier=document.get("service_tier"),
        upstream=document.get("provider"),
        geography=geography(used, document.get("inference_geo"), document.get("geography")),
        request_id=request_id(headers, document),
    )
