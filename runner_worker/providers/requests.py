"""Builds the parts of a request that several protocols share. Pure functions."""

from collections.abc import Collection, Mapping
from typing import Any

from runner_core.upstreams import PARAMETERS
from runner_worker.providers.ask import Ask


def renamed(ask: Ask, known: Collection[str] = PARAMETERS, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the parameters to send by the provider's names, in the order of PARAMETERS.

    `known`: the parameters of the protocol; `names`: the protocol's own names for them. The model's `rename` comes
    before those. What the model does not take is left out.
    """
    names = {**(names or {}), **ask.upstream.rename}
    sent = [name for name in PARAMETERS if name in ask.parameters and name in known and name in ask.upstream.takes]
    return {names.get(name, name): ask.parameters[name] for name in sent}


def system_prompt(ask: Ask) -> str:
    """Return the system prompt, empty if there is none or the model takes none."""
    return ask.system_prompt if "system_prompt" in ask.upstream.takes else ""


def prompt_with_system(ask: Ask) -> str:
    """Return the prompt behind the system prompt, for a protocol or a model without a role for that."""
    system = system_prompt(ask)
    return f"{system}\n\n{ask.prompt}" if system else ask.prompt


def sent_by(ask: Ask, parameters: Mapping[str, Any], system_role: str) -> dict[str, Any]:
    """Return what is kept of a request: the model, the parameters as sent, where the system prompt went, and the
    SHA-256 of the constant body."""
    sent = {"model": ask.upstream.name, **parameters}
    if system_prompt(ask) and system_role != "system":
        sent["system_role"] = system_role
    if ask.upstream.body:
        sent["body_sha256"] = ask.upstream.body_sha256
    return sent
