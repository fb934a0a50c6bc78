"""Brings an answer into the form that the rules read: without thoughts, quotations and markdown, in clauses."""

import re
import unicodedata

MAX_CHARACTERS = 20_000  # an answer may have 2 MB, and a refusal that stands behind these is none

_APOSTROPHES = "\u2019\u2018\u02bc\u00b4\u0060\u2032"
_QUOTES = "\u201c\u201d\u201e\u201f\u2033"
_SPACES = "*_#~|()[]{}<>/\\:-\u2010\u2011\u2013\u2014\u2022\u00bf\u00a1"  # markdown, brackets, dashes
_FOLDS = dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_QUOTES, '"') | dict.fromkeys(_SPACES, " ") | {"\u2026": "."}
_FOLDED = re.compile(f"[{re.escape(''.join(_FOLDS))}]")
_ASCII_FOLDS = str.maketrans(_FOLDS)
_NO_PUNCTUATION = str.maketrans(dict.fromkeys(".,;!?\"'\n", " "))
# A quotation is short: an opening mark without its end must not hide the rest of an answer.
_QUOTED = re.compile(
    r'(?<![^\s,])"[^"\n]{2,400}"'
    "|\u00ab[^\u00ab\u00bb\n]{2,400}\u00bb|\u2039[^\u2039\u203a\n]{2,400}\u203a"
    "|\u300c[^\u300c\u300d\n]{2,400}\u300d|\u300e[^\u300e\u300f\n]{2,400}\u300f"
)
_QUOTING = '"\u00ab\u2039\u300c\u300e'
# A run of marks is looked at once, from its first one: from each of 20,000 full stops this takes 200 million steps.
_SENTENCE_ENDS = re.compile(r"(?<![.!?])[.!?]+(?=\s|$)|[!?]+|[。;]+|\n+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*'?")
CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_CJK = re.compile(f"[{CJK}]")
_TOKEN = re.compile(f"[{CJK}]|[^\\W_{CJK}]+")


def after_thoughts(text: str) -> str:
    """Return the text behind a leading `<think>` block; a block that never ends leaves nothing."""
    opening = text.lstrip()
    if not opening.startswith("<think>"):
        return text
    return opening.partition("</think>")[2]


def read_of(text: str) -> str:
    """Return what is read of an answer: the first 20,000 characters behind its thoughts."""
    return after_thoughts(text)[:MAX_CHARACTERS]


def folded(text: str) -> str:
    """Return the first 20,000 characters in NFKC, casefolded (ß becomes ss), with plain quotes, without markdown."""
    text = read_of(text)
    if text.isascii():
        return text.casefold().translate(_ASCII_FOLDS)
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)[:MAX_CHARACTERS]
    # Several times as fast as str.translate, which looks each character of such a text up.
    return _FOLDED.sub(lambda mark: _FOLDS[mark.group()], text.casefold())


def word_set(text: str) -> set[str]:
    """Return the words of a folded text, cut at apostrophes too; quicker than `tokens`, for a first look."""
    return set(text.translate(_NO_PUNCTUATION).split())


def unquoted(text: str) -> str:
    """Return a folded text without its quotations: somebody else's refusal is no refusal of the model's."""
    return _QUOTED.sub(" ", text) if any(mark in text for mark in _QUOTING) else text


def sentences(text: str) -> list[str]:
    """Return the sentences of a folded text, without white space around them."""
    return [part.strip() for part in _SENTENCE_ENDS.split(text) if part.strip()]


def spaced(text: str) -> str:
    """Return the words of a folded text with one space before, between and behind them, and no punctuation."""
    return f" {' '.join(_WORD.findall(text))} "


def tokens(text: str) -> list[str]:
    """Return the words of a folded text; each Chinese, Japanese or Korean character is one."""
    return _TOKEN.findall(text)


def length(text: str) -> float:
    """Return how many words a folded text has. A Chinese, Japanese or Korean character counts half a word."""
    if text.isascii():
        return len(_WORD.findall(text))
    return len(tokens(text)) - len(_CJK.findall(text)) / 2
