"""How the providers' own filters say that they blocked a prompt or an answer: filters.toml, which has a version."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Filters:
    """How the providers' own filters say that they blocked a prompt or an answer. Everything is in lower case.

    `codes`: an error's code or type; `sayings`: parts of an error's sentence; `reasons`: why an answer ended.
    """

    version: int
    codes: frozenset[str]
    sayings: tuple[str, ...]
    reasons: frozenset[str]


def _filters() -> Filters:
    read = tomllib.loads((files(__package__) / "filters.toml").read_text("utf-8"))
    codes, sayings, reasons = ([text.lower() for text in read[name]] for name in ("codes", "sayings", "reasons"))
    return Filters(read["version"], frozenset(codes), tuple(sayings), frozenset(reasons))


FILTERS = _filters()
