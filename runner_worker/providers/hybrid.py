"""The adapter for the hybrid router. Its protocol has one prompt and a preferred region, and HTTP 200 for failures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner_core.provider_kinds import BODY_SETTINGS, HTTP_SETTINGS
from runner_core.upstreams import Provider, Region
from runner_worker.providers.answers import Reading
from runner_worker.providers.ask import Answer, Ask
from runner_worker.providers.content import Content
from runner_worker.providers.errors import failure_within, words_of
from runner_worker.providers.failures import TryFailed
from runner_worker.providers.requests import prompt_with_system, renamed, sent_by
from runner_worker.providers.text import LARGEST_COUNT, clean, request_id, token_counts, who_served

if TYPE_CHECKING:
    from runner_core.regions import Catalogue
    from runner_worker.providers.http import HttpClient

# Words in the router's `error_code` that mean a permanent failure. The router's full list of codes is not known.
PERMANENT = ("invalid", "unauthorized", "forbidden", "not_found", "unsupported", "bad_request", "validation")


class Hybrid:
    """Asks one router. It sends no seed. An answer of another region is never accepted."""

    api = 1
    # No geography: the region's own names are compared with what the router says.
    settings = (*(name for name in HTTP_SETTINGS if name != "geography"), *BODY_SETTINGS, "path")
    parameters = ("temperature", "max_tokens", "system_prompt")
    writes = ("model", "prompt", "region_preference", "cost_priority")

    def __init__(self, provider: Provider, http: "HttpClient", catalogue: "Catalogue") -> None:
        self._http = http
        self._preference = catalogue.regions[provider.region].hybrid_preference
        self._canonical_region = catalogue.canonical_region

    @staticmethod
    def mistakes(provider: Provider, region: Region) -> list[str]:
        """Return a sentence if the region has no name in this protocol."""
        needed = f"a hybrid provider needs hybrid_preference in regions.{region.name}"
        return [] if region.hybrid_preference else [needed]

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters as sent."""
        return request(ask, self._preference)[2]

    async def send(self, ask: Ask) -> Answer:
        """Raises TryFailed, Filtered."""
        path, document, _ = request(ask, self._preference)
        received = await self._http.post(path, document, ask)
        answer = read(received.document, received.headers)
        place = answer.served.get("geography")
        if place is not None and place != self._preference and self._canonical_region(place) != ask.region:
            raise TryFailed(
                "wrong_region", words=repr(place[:64]), http_status=200, usage=answer.usage, served=answer.served
            )
        return answer


def request(ask: Ask, preference: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return a request's path after the base URL, its JSON object, and what is kept of it.

    `preference` is the region's name in this protocol.
    """
    parameters = renamed(ask, Hybrid.parameters)
    document = {
        "model": ask.upstream.name,
        "prompt": prompt_with_system(ask),
        **parameters,
        "region_preference": preference,
        "cost_priority": False,  # the cheapest region may be another one
        **ask.upstream.body,
    }
    return ask.upstream.path or "/inference", document, sent_by(ask, parameters, "user")


def read(document: dict[str, Any], headers: Mapping[str, str]) -> Answer:
    """Return the answer in a JSON object of status 200. Raises TryFailed, and Filtered for a blocked prompt.

    `headers`: by their names in lower case.
    """
    response, metadata = document.get("response"), document.get("metadata")
    about = metadata if isinstance(metadata, dict) else {}
    place = about.get("region")
    served = who_served(
        model=about.get("model"),
        upstream=document.get("provider_used"),
        geography=place if place is None or isinstance(place, str) else repr(place),
        request_id=request_id(headers, about),
    )
    usage = _usage(document, about)
    if document.get("success") is False:
        partial = clean(response)[0] if isinstance(response, str) else ""
        raise _failure(document, headers, served=served, usage=usage, partial=partial)
    if (
        document.get("success") is not True
        or not isinstance(response, str | None)
        or not isinstance(metadata, dict | None)
    ):
        raise TryFailed("malformed_answer", http_status=200, usage=usage, served=served)
    content = Content(response or "")
    content.split()
    reason = about.get("finish_reason")
    return Reading(reason if isinstance(reason, str) else None, usage, served).answer(content)


def _failure(document: dict[str, Any], headers: Mapping[str, str], **details: Any) -> TryFailed:
    """Return the failure that the router tells. Raises Filtered. `details`: as TryFailed's."""
    code, words = document.get("error_code"), words_of(document)
    digits = str(code).removeprefix("HTTP_") if type(code) is int or isinstance(code, str) else ""
    number = int(digits[:9]) if digits.isdecimal() else None
    name = code.lower() if isinstance(code, str) else ""
    if number is not None and not 400 <= number <= 599:
        return TryFailed.from_status(number, words, paid="maybe", **details)
    if number is None and any(word in name for word in PERMANENT):
        return TryFailed("provider_refused_request", words=words, http_status=200, **details)
    told = {"error": {"message": words, "code": name if number is None else number}}
    return failure_within(told, headers, paid="maybe", **details)


def _usage(document: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    usage = token_counts(metadata) | token_counts(document.get("usage"))
    for name in ("inference_time", "cost_estimate"):
        value = document.get(name)
        if isinstance(value, float | int) and abs(value) < LARGEST_COUNT:  # false for NaN and infinity too
            usage[name] = float(value)
    if isinstance(used := document.get("provider_used"), str):
        usage["provider_used"] = clean(used)[0][:255]
    return usage
