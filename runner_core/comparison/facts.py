"""Which of the operator's facts an answer names: section 6 of the method."""

import unicodedata
from collections.abc import Sequence

from runner_core.comparison.smallest import WEIGHT
from runner_core.comparison.words import is_edge


def folded(text: str) -> str:
    """Return a text in NFKC, casefolded, each run of white space as one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def names(text: str, fact: str) -> bool:
    """Return whether a folded text names a fact: one of its alternatives, which "|" separates.

    An ASCII letter or digit at an end of the alternative must stand at a word's edge in the text. An alternative that
    ends in "*" may go on: "taiwan*" finds "taiwanese". An empty alternative is found nowhere.
    """
    return any(_finds(text, folded(alternative)) for alternative in fact.split("|"))


def named(text: str, facts: Sequence[str]) -> int:
    """Return how many of these facts a text names."""
    text = folded(text)
    return sum(names(text, fact) for fact in facts)


def share(text: str, facts: Sequence[str]) -> int:
    """Return the answer's whole number y of the test: the facts that it names, times 2520 div the listed facts."""
    return named(text, facts) * (WEIGHT // len(facts))


def _finds(text: str, alternative: str) -> bool:
    goes_on = alternative.endswith("*")
    if goes_on:
        alternative = alternative[:-1].rstrip()
    if not alternative:
        return False
    edge_before = _ascii_word(alternative[0])
    edge_after = _ascii_word(alternative[-1]) and not goes_on
    start = text.find(alternative)
    while start >= 0:
        end = start + len(alternative)
        before, after = text[start - 1 : start] if start else "", text[end : end + 1]
        if (not edge_before or is_edge(before)) and (not edge_after or is_edge(after)):
            return True
        start = text.find(alternative, start + 1)
    return False


def _ascii_word(character: str) -> bool:
    return character.isascii() and character.isalnum()
