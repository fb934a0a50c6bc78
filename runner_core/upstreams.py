"""How a provider is asked for one of its models, and the parameters of a request (docs/configuration.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
