"""Words of a text, and the distance of two texts: sections 1 and 2 of the method."""

import re
import unicodedata
from collections.abc import Sequence

MILLION = 1_000_000

# Scripts without spaces between words: Hangul, kana, CJK ideographs with their extensions. Each character is a word.
_SINGLE = (
    r"\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    r"\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
# \w without the underscore is what str.isalnum() accepts: the lookahead keeps marks such as the middle dot out.
_WORD = re.compile(rf"(?=[^\W_])[{_SINGLE}]|[^\W_{_SINGLE}]+")
_SINGLE_CHARACTER = re.compile(f"[{_SINGLE}]")


def words(text: str) -> list[str]:
    """Return the words of a text in their order: NFKC, casefolded.

    A CJK, kana or Hangul character is a word; else a word is a maximal run of characters that `str.isalnum` accepts.
    """
    if not text.isascii():  # NFKC changes no ASCII text
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.casefold())


def count(text: str) -> int:
    """Return the number of words of a text, repeated words counted again."""
    return len(words(text))


def is_edge(character: str) -> bool:
    """Return whether a word that stands next to this character ends there. "" is the end of the text."""
    return not character.isalnum() or _SINGLE_CHARACTER.match(character) is not None


def distance(one: frozenset[str], other: frozenset[str]) -> int:
    """Return the Jaccard distance of two sets of words in millionths, rounded half up; 0 for two empty sets."""
    return _millionths(len(one & other), len(one | other))


def distances(sets: Sequence[frozenset[str]]) -> list[list[int]]:
    """Return the symmetric matrix of the distances of these sets.

    Each set becomes one integer with a bit for each word: 80 sets of 300 words take milliseconds.
    """
    place: dict[str, int] = {}
    bits = [sum(1 << place.setdefault(word, len(place)) for word in words_of) for words_of in sets]
    sizes = [len(words_of) for words_of in sets]
    matrix = [[0] * len(sets) for _ in sets]
    for i, mine in enumerate(bits):
        for j in range(i):
            common = (mine & bits[j]).bit_count()
            matrix[i][j] = matrix[j][i] = _millionths(common, sizes[i] + sizes[j] - common)
    return matrix


def _millionths(common: int, union: int) -> int:
    return (2 * MILLION * (union - common) + union) // (2 * union) if union else 0
