"""Hides our secrets where a provider, or an adapter of another distribution, repeats them."""

from collections.abc import Collection
from typing import Any

HIDDEN = "[key]"  # in place of a secret of ours
LONGEST_WORD, SHORTEST_RARE = 20, 8  # characters


def without(value: Any, secrets: Collection[str]) -> Any:
    """Return a JSON value in which each secret is replaced. `secrets`: the longest first, so that no part is left."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, list):
        return [without(part, secrets) for part in value]
    if isinstance(value, dict):
        return {without(name, secrets): without(part, secrets) for name, part in value.items()}
    return value


def rare(secrets: Collection[str]) -> tuple[str, ...]:
    """Return the secrets that are hidden in answers too. The others may be words, such as "production" in a header."""
    return tuple(
        secret
        for secret in secrets
        if len(secret) >= LONGEST_WORD or (len(secret) >= SHORTEST_RARE and not secret.isalpha())
    )
