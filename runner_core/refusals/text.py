"""Brings an answer into the form that the rules read: without thoughts, quotations and markdown, in clauses."""

import re
import unicodedata

MAX_CHARACTERS = 20_000  # an answer may have 2 MB, and a refusal that stands behind these is none

_APOSTROPHES = "\u2019\u2018\u02bc\u00b4\u0060\u2032"
_QUOTES = "\u201c\u201d\u201e\u201f\u2033"
_SPACES = "*_#~|()[]{}<>/\\:-\u2010\u2011\u2013\u2014\u2022\u00bf\u00a1"  # markdown, brackets, dashes
_FOLDS = dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_QUOTES, '"') | dict.fromkeys(_SPACES, " ") | {"\u2026": "."}
_ASCII_FOLDS = str.maketrans(_FOLDS)
# What NFKC makes of the wide marks of Chinese: where an answer has no others, NFKC is not needed, which is slow.
_WIDE = tuple(zip("\uff0c\uff01\uff1f\uff1a\uff1b\uff08\uff09\u3000", ",!?:;() ", strict=True))
# str.translate looks each character up where a text is not ASCII; bytes.translate is many times as fast.
_NO_PUNCTUATION = bytes(32 if byte in b".,;!?\"'\n" else byte for byte in range(256))
_ONLY_WORDS = bytes(byte if byte > 127 or chr(byte).isalnum() or byte == 39 else 32 for byte in range(256))
_OTHER_MARKS = re.compile(r"[^\x00-\x7f\w]")
# A quotation is short: an opening mark without its end must not hide the rest of an answer.
_QUOTED = re.compile(
    r'(?<![^\s,])"[^"\n]{2,400}"'
    "|\u00ab[^\u00ab\u00bb\n]{2,400}\u00bb|\u2039[^\u2039\u203a\n]{2,400}\u203a"
    "|\u300c[^\u300c\u300d\n]{2,400}\u300d|\u300e[^\u300e\u300f\n]{2,400}\u300f"
)
_QUOTING = '"\u00ab\u2039\u300c\u300e'
# A run of marks is looked at once, from its first one: from each of 20,000 full stops this takes 200 million steps.
# Every end begins with one of six characters, so that other characters are passed quickly.
_SENTENCE_ENDS = re.compile(
    r"[.!?。;\n](?:(?<=[.!?])(?<![.!?][.!?])[.!?]*(?=\s|$)|(?<=[!?])[!?]*|(?<=[。;])[。;]*|(?<=\n)\n*)"
)
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


def read_of(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return what is read of an answer: the first 20,000 characters behind its thoughts, or fewer."""
    return after_thoughts(text)[:most]


def folded(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return the first 20,000 characters, or fewer, in NFKC, casefolded (ß is ss), with plain quotes, no markdown."""
    text = read_of(text, most)
    if text.isascii():
        return text.casefold().translate(_ASCII_FOLDS)
    for wide, plain in _WIDE:
        text = text.replace(wide, plain)
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)[:most]
    text = text.casefold()
    for mark, plain in _FOLDS.items():
        text = text.replace(mark, plain)
    return text


def plain_words(text: str) -> list[str]:
    """Return the words of a folded text, cut at apostrophes too; quicker than `tokens`, for a first look."""
    return _translated(text, _NO_PUNCTUATION).split()


def unquoted(text: str) -> str:
    """Return a folded text without its quotations: somebody else's refusal is no refusal of the model's."""
    return _QUOTED.sub(" ", text) if any(mark in text for mark in _QUOTING) else text


def sentences(text: str) -> list[str]:
    """Return the sentences of a folded text, without white space around them."""
    return [part.strip() for part in _SENTENCE_ENDS.split(text) if part.strip()]


def spaced(text: str) -> str:
    """Return the words of a folded text with one space before, between and behind them, and no punctuation."""
    if "''" in text:
        return f" {' '.join(_WORD.findall(text))} "
    # The same, several times as fast: an apostrophe stays behind and within a word, and goes before one.
    if not text.isascii():
        text = _OTHER_MARKS.sub(" ", text)
    words = f" {_translated(text, _ONLY_WORDS)}".replace(" '", " ").split()
    return f" {' '.join(words)} "


def tokens(text: str) -> list[str]:
    """Return the words of a folded text; each Chinese, Japanese or Korean character is one."""
    return _TOKEN.findall(text)


def length(text: str) -> float:
    """Return how many words a folded text has. A Chinese, Japanese or Korean character counts half a word."""
    if text.isascii():
        return len(_WORD.findall(text))
    return len(tokens(text)) - len(_CJK.findall(text)) / 2


def _translated(text: str, table: bytes) -> str:
    return text.encode("utf-8", "surrogatepass").translate(table).decode("utf-8", "surrogatepass")
