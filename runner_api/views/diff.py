"""Compare two texts word by word."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

# A longer text could take seconds: the matcher is quadratic in the worst case.
MAX_WORDS = 2000
_WORD = re.compile(r"\S+\s*|\s+")
# Letters of scripts that are written without spaces between words (Unicode 16, blocks): Thai to Myanmar, Khmer, Tai Le
# to Khmer symbols, Tai Tham, Balinese, kana and bopomofo, Han, Yi, Javanese and Myanmar, Tai Viet, Han and kana forms.
_UNSPACED = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007\u3040-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
UNSPACED_SHARE = 0.2  # of a text's letters; above it the text counts as written without spaces


@dataclass(frozen=True)
class Piece:
    """A run of words; `kind` is same, added or removed."""

    kind: str
    text: str


def words(text: str) -> list[str]:
    """Return the words of a text, each with the white space behind it."""
    return _WORD.findall(text)


def compare(base: str, other: str) -> list[Piece] | None:
    """Return the pieces that lead from `base` to `other`; None when one text is too long to compare."""
    old, new = words(base), words(other)
    if max(len(old), len(new)) > MAX_WORDS:
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


def has_words(text: str) -> bool:
    """Return whether white space separates the words of a text: not in Chinese, Japanese, Thai and similar scripts.

    A name or a quotation in such a script does not change the result for a text in another script.
    """
    if text.isascii():  # most texts: no need to look at each character
        return True
    unspaced = len(_UNSPACED.findall(text))
    return unspaced <= UNSPACED_SHARE * sum(map(str.isalpha, text))
