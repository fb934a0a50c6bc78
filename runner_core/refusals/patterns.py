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
_OPENING_WORDS = re.compile(r" \(\?:([^()]+)\)(?![?*+{])(.*)")


@dataclass(frozen=True, slots=True)
class Language:
    """The patterns of one language; rules.toml says what each is for."""

    name: str
    persons: frozenset[str]
    needs: tuple[str, ...]
    rewrite: tuple[tuple[str, str], ...]
    idioms: re.Pattern[str]
    cuts: re.Pattern[str]
    concessions: re.Pattern[str]
    refuses: re.Pattern[str]
    soft: re.Pattern[str]
    pivots: re.Pattern[str]
    advice: re.Pattern[str]
    courtesy: re.Pattern[str]
    ignorance: re.Pattern[str]
    deflection: re.Pattern[str]

    def is_needed(self, words: set[str], line: str) -> bool:
        """Return whether a text may refuse in this language, by its set of words, and itself between two spaces."""
        return not (self.persons and self.persons.isdisjoint(words)) and any(need in line for need in self.needs)


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns of all languages, and their version."""

    version: int
    languages: tuple[Language, ...]


@cache
def rules() -> Rules:
    """Return the shipped rules. The first call compiles them, which takes 0.2 s."""
    read = tomllib.loads((files(__package__) / "rules.toml").read_text("utf-8"))
    version = read.pop("version")
    return Rules(version, tuple(_language(name, patterns) for name, patterns in read.items()))


def _language(name: str, read: dict[str, Any]) -> Language:
    spaces = name != "zh"  # Chinese has no spaces between words, so its patterns count characters
    kinds = ("idioms", "concessions", "pivots", "advice", "courtesy", "ignorance", "deflection")
    cuts = "|".join(read["cuts"])
    groups = read["refuses"]
    return Language(
        name=name,
        persons=frozenset(read["persons"]),
        needs=tuple(read["needs"]),
        rewrite=tuple((old, new) for old, new in read["rewrite"]),
        cuts=re.compile(rf"(?<![\s,;])[\s,;]++(?:{cuts})(?=[\s,])" if spaces else cuts),
        refuses=_refuses(group for group in groups if not group.get("soft")),
        soft=_refuses(group for group in groups if group.get("soft")),
        **{kind: _one_of(read[kind], spaces=spaces) for kind in kinds},
    )


def _one_of(patterns: Iterable[str], *, spaces: bool) -> re.Pattern[str]:
    joined = "|".join(patterns)
    return re.compile(f" (?:{joined})(?= )" if spaces else f"(?:{joined})")


def _refuses(groups: Iterable[dict[str, Any]]) -> re.Pattern[str]:
    """Return one pattern for groups of start, gap and verbs. `gap_characters`: for a language without spaces."""
    alternatives = []
    for group in groups:
        start, verbs = _starts(group["start"]), f"(?:{'|'.join(group.get('verbs', ()))})"
        if "gap" in group:
            alternatives.append(f"{start} {_OTHER_WORD}{{0,{group['gap']}}}?{verbs}(?= )")
        elif "gap_characters" in group:
            alternatives.append(f"{start}[^ ]{{0,{group['gap_characters']}}}?{verbs}")
        else:
            alternatives.append(start)
    return re.compile("|".join(alternatives))


def _starts(patterns: Iterable[str]) -> str:
    """Return one pattern for several, by their first letters: where none fits, a look at each letter is enough."""
    by_letter: dict[str, list[str]] = {}
    others: list[str] = []
    for pattern in patterns:
        opening = _OPENING_WORDS.fullmatch(pattern)
        for text in [f" {word}{opening[2]}" for word in opening[1].split("|")] if opening else [pattern]:
            if text[0] == " " and text[1].isalpha():
                by_letter.setdefault(text[1], []).append(text[2:])
            else:
                others.append(text)
    letters = "|".join(f"{letter}(?:{'|'.join(rests)})" for letter, rests in by_letter.items())
    return f"(?:{'|'.join([*others, f' (?:{letters})'] if letters else others)})"
