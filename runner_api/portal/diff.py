"""How two answers differ, by words."""

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher

# Beyond it a comparison could take seconds: the matcher is quadratic in the worst case.
LONGEST = 2000  # words
_WORD = re.compile(r"\S+\s*|\s+")


@dataclass(frozen=True)
class Piece:
    """A run of words; `kind` is same, added or removed."""

    kind: str
    text: str


def words(text: str) -> list[str]:
    """The words of a text, each with the white space behind it."""
    return _WORD.findall(text)


def compare(base: str, other: str) -> list[Piece] | None:
    """What leads from `base` to `other`; None when one of them is too long to compare."""
    old, new = words(base), words(other)
    if max(len(old), len(new)) > LONGEST:
        return None
    matcher = SequenceMatcher(None, [w.strip() for w in old], [w.strip() for w in new], autojunk=False)
    pieces = []
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(new[c:d])))
            continue
        if a < b:
            pieces.append(Piece("removed", "".join(old[a:b])))
        if c < d:
            pieces.append(Piece("added", "".join(new[c:d])))
    return pieces


def overlap(one: str, other: str) -> float:
    """The share of words that two texts have in common, 0 to 1 (Dice's coefficient of the two bags of words)."""
    first, second = Counter(one.lower().split()), Counter(other.lower().split())
    total = first.total() + second.total()
    return 1.0 if total == 0 else 2 * (first & second).total() / total
