"""The kinds of provider, which are protocols: what the request of each can carry."""

from dataclasses import dataclass

from runner_core.upstreams import PARAMETERS


@dataclass(frozen=True)
class Kind:
    """`takes`: the parameters that a request can have. `writes`: the members of its body that are no parameters."""

    takes: frozenset[str]
    writes: frozenset[str]


KINDS: dict[str, Kind] = {
    "openai": Kind(frozenset(PARAMETERS), frozenset({"model", "messages", "stream"})),
    "hybrid": Kind(
        frozenset({"temperature", "max_tokens", "system_prompt"}),
        frozenset({"model", "prompt", "region_preference", "cost_priority"}),
    ),
    "sandbox": Kind(frozenset(PARAMETERS), frozenset({"model", "messages", "stream"})),
}
