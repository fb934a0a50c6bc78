"""The rules of refusal as compiled patterns, one object a language, from rules.toml."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# Between "I cannot" and "answer" stands no word that opens another clause: "I cannot find whether he will answer".
_CLAUSE_OPENERS = (
    "(?:that|which|who|whom|whether|if|how|why|what|because|since|dass|ob|weil|wenn|warum|que|qui|porque|quien) "
)
_OTHER_WORD = rf"(?:(?!{_CLAUSE_OPENERS})\S{{1,20}} )"
# How a pattern begins: with a choice, or with a text none of whose characters is repeated.
_CHOICE = re.compile(r"( ?)\(\?:([^()]+)\)(\??)(?![*+?{])(.*)")
_OPENING = re.compile(r" ?[\w']+(?![*+?{]) ?(?![*+?{])")


@dataclass(frozen=True, slots=True)
class Opened:
    """One pattern as several, by the text with which a match begins: a whole word, or less (`parts`).

    Most of these texts are nowhere in an answer, and to look for them costs less than to try a pattern at each word.
    """

    words: dict[str, re.Pattern[str]]
    parts: tuple[tuple[str, re.Pattern[str]], ...]

    def found(self, form: str) -> bool:
        """Return whether the pattern is found in a form."""
        if any(self.words[word].search(form) for word in self.words.keys() & form.split()):
            return True
        return any(part in form and pattern.search(form) for part, pattern in self.parts)


@dataclass(frozen=True, slots=True)
class Language:
    """The patterns of one language; rules.toml says what each is for.

    `needs`: those that begin with a whole word, with the word; `part_needs`: the others.
    """

    name: str
    persons: frozenset[str]
    needs: tuple[tuple[str, str], ...]
    part_needs: tuple[str, ...]
    rewrite: tuple[tuple[str, str], ...]
    idioms: re.Pattern[str]
    cut_words: tuple[str, ...]
    cuts: re.Pattern[str]
    concessions: re.Pattern[str]
    refuses: Opened
    soft: Opened
    pivots: re.Pattern[str]
    advice: re.Pattern[str]
    courtesy: re.Pattern[str]
    ignorance: re.Pattern[str]
    deflection: re.Pattern[str]

    @property
    def watched(self) -> frozenset[str]:
        """Return the words for which `is_needed` asks."""
        return self.persons.union(word for word, _ in self.needs)

    def is_needed(self, words: frozenset[str], line: str) -> bool:
        """Return whether a text may refuse in this language, by those of its words that are watched, and by the text
        itself between two spaces.
        """
        if self.persons and self.persons.isdisjoint(words):
            return False
        return any(word in words and need in line for word, need in self.needs) or any(
            need[0] in line and need in line for need in self.part_needs
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns of all languages, and their version. `watched`: the words for which a first look asks."""

    version: int
    languages: tuple[Language, ...]
    watched: frozenset[str]


@cache
def rules() -> Rules:
    """Return the shipped rules. The first call compiles them, which takes 0.2 s."""
    read = tomllib.loads((files(__package__) / "rules.toml").read_text("utf-8"))
    version = read.pop("version")
    languages = tuple(_language(name, patterns) for name, patterns in read.items())
    return Rules(version, languages, frozenset[str]().union(*(language.watched for language in languages)))


def _language(name: str, read: dict[str, Any]) -> Language:
    spaces = name != "zh"  # Chinese has no spaces between words, so its patterns count characters
    kinds = ("idioms", "concessions", "pivots", "advice", "courtesy", "ignorance", "deflection")
    cuts = "|".join(read["cuts"])
    groups = read["refuses"]
    return Language(
        name=name,
        persons=frozenset(read["persons"]),
        needs=tuple((word, need) for need in read["needs"] if (word := _first_word(need))),
        part_needs=tuple(need for need in read["needs"] if not _first_word(need)),
        rewrite=tuple((old, new) for old, new in read["rewrite"]),
        cut_words=tuple(read["cuts"]),
        cuts=re.compile(rf"(?<![\s,;])[\s,;]++(?:{cuts})(?=[\s,])" if spaces else cuts),
        refuses=_refuses(group for group in groups if not group.get("soft")),
        soft=_refuses(group for group in groups if group.get("soft")),
        **{kind: _one_of(read[kind], spaces=spaces) for kind in kinds},
    )


def _first_word(need: str) -> str:
    """Return the first word of a need that begins with a whole one, else an empty text."""
    space, _, rest = need.partition(" ")
    word, behind, _ = rest.partition(" ")
    return word if behind and not space and word.isalnum() else ""


def _one_of(patterns: Iterable[str], *, spaces: bool) -> re.Pattern[str]:
    return re.compile(f" {_any_of(patterns)}(?= )" if spaces else _any_of(patterns))


def _refuses(groups: Iterable[dict[str, Any]]) -> Opened:
    """Return one pattern for groups of start, gap and verbs. `gap_characters`: for a language without spaces."""
    by_opening: dict[str, list[str]] = {}
    for group in groups:
        verbs = _by_letter(group["verbs"]) if "verbs" in group else ""
        if "gap" in group:
            end = f" {_OTHER_WORD}{{0,{group['gap']}}}?{verbs}(?= )"
        else:
            end = f"[^ ]{{0,{group['gap_characters']}}}?{verbs}" if "gap_characters" in group else ""
        rests: dict[str, list[str]] = {}
        for start in group["start"]:
            for text in _spelled_out(start):
                opening = _opening(text)
                rests.setdefault(opening, []).append(text[len(opening) :])
        for opening, texts in rests.items():
            by_opening.setdefault(opening, []).append(_any_of(texts) + end)
    patterns = {text: re.compile(text + _any_of(ends)) for text, ends in by_opening.items()}
    words = [text for text in patterns if text.startswith(" ") and text.endswith(" ")]
    parts = tuple((text, patterns[text]) for text in patterns if text not in words)
    return Opened({text.strip(): patterns[text] for text in words}, parts)


def _spelled_out(pattern: str) -> list[str]:
    """Return the patterns that a pattern which begins with a choice, `(?:a|b)c`, stands for: `ac` and `bc`."""
    choice = _CHOICE.fullmatch(pattern)
    if not choice:
        return [pattern]
    space, texts, may_be_absent, rest = choice.groups()
    spelled = [f"{space}{text}{rest}" for text in texts.split("|")]
    return spelled + _spelled_out(space + rest) if may_be_absent else spelled


def _opening(pattern: str) -> str:
    """Return the text with which each match of a pattern begins: its first word, or less."""
    found = _OPENING.match(pattern)
    return found.group() if found else ""


def _by_letter(patterns: Iterable[str]) -> str:
    """Return one pattern for several, by their first letters: where none fits, one look is enough."""
    by_letter: dict[str, list[str]] = {}
    for pattern in patterns:
        by_letter.setdefault(pattern[0], []).append(pattern[1:])
    return f"(?=[{''.join(by_letter)}])" + _any_of(f"{letter}{_any_of(rests)}" for letter, rests in by_letter.items())


def _any_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"
