"""The language of an answer: by its script, then by its commonest words."""

import re
from collections import Counter

from runner_core.refusals.text import folded

# The share of letters above which a script decides. Kana first: Japanese is written with Chinese characters too.
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]"), 0.10),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"), 0.30),
    ("zh", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"), 0.20),
    ("ru", re.compile(r"[\u0400-\u04ff]"), 0.30),
)
_COMMONEST = {
    "en": "the of and to in is that it was for on are with as be this i you not can",
    "de": "der die und in den zu das mit ist im nicht ein eine auf sich ich dem von es kann",
    "fr": "de la le et les des en un une est que pour qui il ne pas je vous ce du",
    "es": "de la que el en y los se del las un por no una es con lo su para al",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMONEST.items()}
_LETTERS = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str:
    """Return `en`, `de`, `fr`, `es`, `ja`, `ko`, `zh` or `ru`, and `und` where the text does not tell.

    Of the first 20,000 characters without thoughts. A script decides by its share of the letters. Else the language
    whose twenty commonest words are met most often is the answer, if there are two hits or more and no second language
    has as many.
    """
    text = folded(text)
    if not text.isascii() and (letters := len(_LETTERS.findall(text))):
        for language, script, share in _SCRIPTS:
            if len(script.findall(text)) > share * letters:
                return language
    counts = Counter(_WORD.findall(text))
    hits = sorted(((sum(counts[word] for word in words), language) for language, words in _WORDS.items()), reverse=True)
    (most, leader), (second, _) = hits[0], hits[1]
    return leader if most >= 2 and most > second else "und"
