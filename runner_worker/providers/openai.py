"""The adapter for OpenAI's chat completions protocol, which vLLM, Ollama, llama.cpp, TGI, Modal and OpenRouter serve.

Reference: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Mapping
from typing import Any

from runner_worker.providers.ask import Answer, Ask, TryFailed, clean
from runner_worker.providers.http import HttpClient

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
LARGEST_COUNT = 2**53  # larger integers are not exact in JSON; a provider may send anything


class OpenAI:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters as sent."""
        return dict(ask.parameters)

    async def send(self, ask: Ask) -> Answer:
        """Raises TryFailed."""
        messages = [{"role": "user", "content": ask.prompt}]
        if ask.system_prompt:
            messages.insert(0, {"role": "system", "content": ask.system_prompt})
        document: dict[str, Any] = {
            "model": ask.upstream.name,
            "messages": messages,
            **{name: value for name, value in ask.parameters.items() if name != "seed"},
            "stream": False,
        }
        if "seed" in ask.parameters:
            document["seed"] = ask.parameters["seed"]
        received = await self._http.post("/chat/completions", document, ask)
        return self._answer(received.document)

    def _answer(self, document: dict[str, Any]) -> Answer:
        match document:
            case {"choices": [{"message": {**message}, **choice}, *_]}:
                pass
            case {"error": {"code": int(status)}}:  # OpenRouter reports a failing upstream under HTTP 200
                raise TryFailed.from_status(status, self._http.words(document))
            case {"error": _}:
                raise TryFailed("provider_error", words=self._http.words(document), http_status=200)
            case _:
                raise TryFailed("malformed_answer", http_status=200)
        content, refusal = message.get("content"), message.get("refusal")
        if not isinstance(content, str | None) or not isinstance(refusal, str | None):
            raise TryFailed("malformed_answer", http_status=200)
        text, sanitised = clean(content if content and content.strip() else refusal or "")
        if not text.strip():
            raise TryFailed("empty_response", http_status=200)
        reason = choice.get("finish_reason")
        return Answer(
            text=text,
            refused=bool(refusal),
            finish_reason=clean(reason)[0][:64] if isinstance(reason, str) else None,
            usage=token_counts(document.get("usage")),
            sanitised=sanitised,
        )


def token_counts(usage: Any) -> dict[str, Any]:
    """Return the known token counts of `usage`. Other members are dropped, because their size has no limit."""
    if not isinstance(usage, dict):
        return {}
    return {name: usage[name] for name in COUNTS if type(usage.get(name)) is int and 0 <= usage[name] < LARGEST_COUNT}
