"""Lists who served answers, from the `served` objects that are stored with them (docs/glossary.md)."""

from collections.abc import Iterable, Mapping
from typing import Any

MEMBERS = ("model", "fingerprint", "service_tier", "upstream", "geography", "request_id")
IDENTITY = ("model", "fingerprint", "upstream", "geography")  # the members that say who answered


def identities(served: Iterable[Mapping[str, Any] | None]) -> list[dict[str, str]]:
    """Return the different {model, fingerprint, upstream, geography} of `served` objects, sorted.

    An object without any of these members says nothing and has no entry. Neither has null, which stands for the answer
    of an earlier release.
    """
    found = {tuple(str(one.get(name) or "") for name in IDENTITY) for one in served if one}
    return [
        {name: text for name, text in zip(IDENTITY, texts, strict=True) if text}
        for texts in sorted(found)
        if any(texts)
    ]
