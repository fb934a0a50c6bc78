"""A region, a provider in it, and how the provider is asked for each of its models (docs/configuration.md)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from runner_core.signing import canonical

# The parameters of a request, by the names that jobs use.
PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "seed",
    "system_prompt",
)
TEMPERATURE = 0.1  # of a request whose job asks for none


@dataclass(frozen=True)
class Region:
    """A region. `hybrid_preference` is its name in the hybrid router's protocol.

    `plain` names the region that asks the same endpoint with the prompt that all plain regions have in common.
    """

    name: str
    display: str
    aliases: tuple[str, ...] = ()
    system_prompt: str = ""
    hybrid_preference: str = ""
    plain: str = ""


@dataclass(frozen=True)
class UpstreamModel:
    """One model of a provider. `name` is the provider's own name of the model.

    `takes`: the parameters that a request for this model may have; `rename`: a parameter's name in the request's body,
    where it differs; `body`: constant members of the body; `max_tokens`: sent unless the job says otherwise;
    `system_role`: where the system prompt goes (system, developer, user, none); `path`: the address's path after the
    base URL, empty for the protocol's own; `options`: for the kinds of provider that take any.
    """

    name: str
    takes: frozenset[str] = frozenset(PARAMETERS)
    rename: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int = 500
    system_role: str = "system"
    path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Return the values that a request has if its job asks for none, without the seed. They are kept."""
        values = {"temperature": TEMPERATURE, "max_tokens": self.max_tokens}
        return {name: value for name, value in values.items() if name in self.takes}

    @cached_property
    def body_sha256(self) -> str:
        """Return the hex SHA-256 of the constant body's canonical JSON. Each call's `sent` has it: it is kept."""
        return hashlib.sha256(canonical(dict(self.body))).hexdigest()


@dataclass(frozen=True)
class Provider:
    """One endpoint in one region. `models` maps our model ids to the endpoint's own models.

    `query`: added to every address; `headers`: constant headers; `headers_env`: names of environment variables with the
    values of secret headers; `proxy`: env, none or a proxy's URL as written, which may hold a password; `ca_file`: a
    PEM file of certificates that are trusted besides the system's; `geography`: sent where the protocol has a parameter
    for it, and compared with the answer's; `options`: for the kinds of provider that take any.
    """

    id: str
    region: str
    kind: str
    base_url: str
    api_key_env: str
    max_concurrency: int
    models: dict[str, UpstreamModel]
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    headers_env: dict[str, str] = field(default_factory=dict)
    proxy: str = field(default="env", repr=False)
    ca_file: str = ""
    geography: str = ""
    options: dict[str, Any] = field(default_factory=dict)
