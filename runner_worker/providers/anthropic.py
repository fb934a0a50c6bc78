"""The adapter for Anthropic's messages protocol, spoken natively: compatible endpoints do not tell the geography.

Reference: https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from runner_core.provider_kinds import BODY_SETTINGS, HTTP_SETTINGS
from runner_core.refusals import FILTERS
from runner_core.upstreams import Provider, Region
from runner_worker.providers.answers import Reading
from runner_worker.providers.ask import Answer, Ask
from runner_worker.providers.content import content_of
from runner_worker.providers.errors import failure_within
from runner_worker.providers.requests import (
    prompt_with_system,
    renamed,
    sent_by,
    system_prompt,
)
from runner_worker.providers.text import count, geography, request_id, who_served

if TYPE_CHECKING:
    from runner_core.regions import Catalogue
    from runner_worker.providers.http import HttpClient

VERSION = "2023-06-01"  # of the protocol; the only one there is
NAMES = {"stop": "stop_sequences"}
SYSTEM_ROLES = ("system", "user", "none")


class Anthropic:
    """Asks one provider by HTTP. The protocol has no seed, no penalties and no reasoning_effort."""

    api = 1
    settings = (*HTTP_SETTINGS, *BODY_SETTINGS, "system_role", "path")
    parameters = ("temperature", "top_p", "top_k", "max_tokens", "stop", "system_prompt")
    model_list = "/v1/models"
    writes = ("model", "messages", "system", "inference_geo", "stream")
    key_header = "x-api-key"
    headers: ClassVar = {"anthropic-version": VERSION}

    def __init__(self, provider: Provider, http: "HttpClient", catalogue: "Catalogue") -> None:
        self._http = http
        self._geography = provider.geography

    @staticmethod
    def mistakes(provider: Provider, region: Region) -> list[str]:
        """Return one sentence for each setting that the protocol has no place for."""
        found = []
        if any("max_tokens" not in model.takes for model in provider.models.values()):
            found.append("omit: a provider of kind anthropic needs max_tokens in each request")
        for role in sorted({model.system_role for model in provider.models.values()} - set(SYSTEM_ROLES)):
            found.append(
                f"system_role: {role!r} is no role of the kind anthropic: write one of {', '.join(SYSTEM_ROLES)}"
            )
        return found

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters as sent."""
        return request(ask, self._geography)[2]

    async def send(self, ask: Ask) -> Answer:
        """Raises TryFailed, Filtered."""
        path, document, _ = request(ask, self._geography)
        received = await self._http.post(path, document, ask)
        return read(received.document, received.headers)


def request(ask: Ask, place: str = "") -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return a request's path after the base URL, its JSON object, and what is kept of it.

    `place`: the geography in which the model must run, empty for the account's own.
    """
    upstream, role = ask.upstream, ask.upstream.system_role
    parameters = renamed(ask, Anthropic.parameters, NAMES)
    # The protocol has no request without a limit, so a job's null means the provider's.
    parameters = {upstream.rename.get("max_tokens", "max_tokens"): upstream.max_tokens, **parameters}
    if place:
        parameters["inference_geo"] = place
    document: dict[str, Any] = {"model": upstream.name}
    if role == "user":
        document["messages"] = [{"role": "user", "content": prompt_with_system(ask)}]
    else:
        document["messages"] = [{"role": "user", "content": ask.prompt}]
        if (system := system_prompt(ask)) and role != "none":
            document["system"] = system
    document |= {**parameters, **upstream.body}
    return upstream.path or "/v1/messages", document, sent_by(ask, parameters, role)


def read(document: dict[str, Any], headers: Mapping[str, str]) -> Answer:
    """Return the answer in a JSON object of status 200. Raises TryFailed, and Filtered for a blocked prompt.

    `headers`: by their names in lower case.
    """
    usage, served = _usage(document.get("usage")), _served(document, headers)
    if document.get("error"):
        raise failure_within(document, headers, usage=usage, served=served)
    reason, blocks = document.get("stop_reason"), document.get("content")
    reading = Reading(reason if isinstance(reason, str) else None, usage, served)
    if blocks is None and reading.folded_reason in FILTERS.reasons:
        blocks = []
    if not isinstance(blocks, list):
        raise reading.failed("malformed_answer")
    content = content_of(blocks)
    details = document.get("stop_details")
    said = details.get("explanation") if isinstance(details, dict) else None
    words = [said] if isinstance(said, str) and said.strip() else []
    if reading.folded_reason == "refusal" and content.text.strip():
        content.refusal = content.text  # the model's own words, so it is a refusal by the provider
    return reading.answer(content, words)


def _usage(usage: Any) -> dict[str, Any]:
    """Return the token counts by the names of all providers."""
    if not isinstance(usage, dict):
        return {}
    known = {"prompt_tokens": count(usage.get("input_tokens")), "completion_tokens": count(usage.get("output_tokens"))}
    found = {name: value for name, value in known.items() if value is not None}
    return found | ({"total_tokens": sum(found.values())} if len(found) == len(known) else {})


def _served(document: dict[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    usage = document.get("usage")
    used = usage if isinstance(usage, dict) else {}
    return who_served(
        model=document.get("model"),
        service_tier=used.get("service_tier"),
        geography=geography(used.get("inference_geo"), document.get("inference_geo")),
        request_id=request_id(headers, document),
    )
