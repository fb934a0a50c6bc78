"""The adapter for the hybrid router. Its protocol has one prompt and a preferred region, and HTTP 200 for failures."""

from collections.abc import Callable, Mapping
from typing import Any

from runner_worker.providers.ask import Answer, Ask, TryFailed, clean
from runner_worker.providers.http import HttpClient
from runner_worker.providers.openai import LARGEST_COUNT, token_counts

# Words in the router's `error_code` that mean a permanent failure. The router's full list of codes is not known.
PERMANENT = ("invalid", "unauthorized", "forbidden", "not_found", "unsupported", "bad_request", "validation")


class Hybrid:
    """`preference` is the region's name in this protocol; `canonical_region` maps an alias to a region's name."""

    def __init__(self, http: HttpClient, preference: str, canonical_region: Callable[[str], str | None]) -> None:
        self._http = http
        self._preference = preference
        self._canonical_region = canonical_region

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters as sent."""
        return {name: ask.parameters[name] for name in ("temperature", "max_tokens") if name in ask.parameters}

    async def send(self, ask: Ask) -> Answer:
        """Raises TryFailed."""
        # The protocol has no roles, so the region's system prompt is put before the question.
        prompt = f"{ask.system_prompt}\n\n{ask.prompt}" if ask.system_prompt else ask.prompt
        document = {
            "model": ask.upstream.name,
            "prompt": prompt,
            **self.sent(ask),
            "region_preference": self._preference,
            "cost_priority": False,  # the cheapest region may be another one
        }
        received = await self._http.post("/inference", document, ask)
        return self._answer(received.document, ask.region)

    def _answer(self, document: dict[str, Any], region: str) -> Answer:
        success = document.get("success")
        if success is False:
            raise self._failure(document)
        response, metadata = document.get("response"), document.get("metadata")
        if success is not True or not isinstance(response, str | None) or not isinstance(metadata, dict | None):
            raise TryFailed("malformed_answer", http_status=200)
        metadata = metadata or {}
        if not self._is_here(metadata.get("region"), region):
            raise TryFailed("wrong_region", words=f"{str(metadata['region'])[:64]!r}", http_status=200)
        text, sanitised = clean(response or "")
        if not text.strip():
            raise TryFailed("empty_response", http_status=200)
        return Answer(text=text, usage=self._usage(document, metadata), sanitised=sanitised)

    def _failure(self, document: dict[str, Any]) -> TryFailed:
        code, words = document.get("error_code"), self._http.words(document)
        if (type(code) is int or isinstance(code, str)) and str(code).removeprefix("HTTP_").isdecimal():
            return TryFailed.from_status(int(str(code).removeprefix("HTTP_")[:9]), words)
        name = code.lower() if isinstance(code, str) else ""
        in_vain = any(word in name for word in PERMANENT)
        return TryFailed("provider_refused_request" if in_vain else "provider_error", words=words, http_status=200)

    def _is_here(self, named: Any, region: str) -> bool:
        """Return whether the answer came from `region`. An answer that names no region is accepted."""
        if named is None:
            return True
        return isinstance(named, str) and (named == self._preference or self._canonical_region(named) == region)

    def _usage(self, document: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
        usage = token_counts(metadata) | token_counts(document.get("usage"))
        for name in ("inference_time", "cost_estimate"):
            value = document.get(name)
            if isinstance(value, float | int) and abs(value) < LARGEST_COUNT:  # false for NaN and infinity too
                usage[name] = float(value)
        if isinstance(used := document.get("provider_used"), str):
            usage["provider_used"] = clean(used)[0][:255]
        return usage
