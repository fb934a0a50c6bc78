"""Recomputes a comparison of regions from its export, and compares every number with the published analysis.

    python docs/recompute.py compare.json analysis.json

The method is beacon-compare/1, and docs/comparison.md describes it; this program is written from that page alone. It
needs Python 3.11 or newer and no other package, and imports nothing of Beacon Runner. It prints each number that
differs, with its path. Exit status: 0 every number agrees, 1 some differ, 2 a file can't be used.

Numbers that follow from counts alone (every p, the statistics S and T, corrected p, min_p) are whole numbers or
fractions here and must be equal; rates, distances and intervals must be equal to 1e-9.
"""

import argparse
import hashlib
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, combinations, groupby, product
from math import comb, factorial, fsum, prod, sqrt
from statistics import median
from typing import Any

METHOD = "beacon-compare/1"
MAX_CHARACTERS = 20_000  # of an answer; what stands behind them is not looked at
WHOLE = 2520  # lcm(1..10): divided by a number of runs it stays whole
MAX_RUNS = 10
MAX_EXACT = 20_000  # assignments that are enumerated; above that they are drawn
DRAWS = 9_999
LEAST_P = Fraction(1, DRAWS + 1)
LEVEL = Fraction(1, 20)
LEAST_LABELS = 30  # answers that both labelled, below which there is no kappa
Z = 1.959963984540054
TOLERANCE = 1e-9
MASK = 2**64 - 1

IN_TEXT = ("answer", "partial_refusal", "deflection")
IN_WITHHELD = (*IN_TEXT, "hard_refusal", "content_filter")
WITHHELD = ("content_filter", "hard_refusal", "partial_refusal")
CATEGORIES = (*IN_WITHHELD, "non_answer")
ENDPOINTS = ("withheld", "text", "facts")
NAMES = {"withheld": "withheld", "text": "wording", "facts": "facts"}  # of the endpoints in the analysis
STATISTICS = {"withheld": "t_withheld", "text": "s_wording", "facts": "t_facts"}  # of a question and of a pair
SOURCES = ("filter", "provider", "rules", "embedding", "judge", "human")  # of categories

# Chinese characters, kana and hangul, in code points: each is a word.
CHARACTER_WORDS = (
    *((0x1100, 0x11FF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x3130, 0x318F), (0x31F0, 0x31FF), (0x3400, 0x4DBF)),
    *((0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
)


class BadFile(Exception):
    """A file can't be used. The message says why."""


# ---- Words, distance, facts ------------------------------------------------------------------------------------------


def is_character_word(character: str) -> bool:
    """Return whether this alphanumeric character is a word by itself."""
    return any(low <= ord(character) <= high for low, high in CHARACTER_WORDS)


def kind(character: str) -> str:
    """Return which sort of character this is: outside words, part of a longer word, or a word by itself."""
    if not character.isalnum():
        return "outside"
    return "single" if is_character_word(character) else "part"


def normal(text: str) -> str:
    """Return the text in compatibility form (NFKC), its case folded."""
    return unicodedata.normalize("NFKC", text).casefold()


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order, repeats among them."""
    words: list[str] = []
    for sort, run in groupby(normal(text), kind):
        if sort == "single":
            words.extend(run)
        elif sort == "part":
            words.append("".join(run))
    return words


def distance(one: frozenset[str], other: frozenset[str]) -> int:
    """Return Jaccard's distance of two sets of words in millionths, rounded; 0 when both are empty."""
    union = len(one | other)
    return (2_000_000 * (union - len(one & other)) + union) // (2 * union) if union else 0


def folded(text: str) -> str:
    """Return the normal text with each run of white space as one space, and none at its ends."""
    return " ".join(normal(text).split())


def names(text: str, fact: str) -> bool:
    """Return whether a folded text names a fact: whether one of its alternatives stands in it."""
    return any(stands_in(text, alternative) for alternative in fact.split("|"))


def stands_in(text: str, alternative: str) -> bool:
    """Return whether an alternative stands in a folded text, at the edges of words where its ends are ASCII."""
    wanted = folded(alternative)
    open_end = wanted.endswith("*")
    if open_end:
        wanted = wanted[:-1].rstrip()
    if not wanted:
        return False
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        begins = not needs_edge(wanted[0]) or at == 0 or kind(text[at - 1]) != "part"
        if begins and (open_end or not needs_edge(wanted[-1]) or end == len(text) or kind(text[end]) != "part"):
            return True
        at = text.find(wanted, at + 1)
    return False


def needs_edge(character: str) -> bool:
    """Return whether this end of an alternative must stand at the edge of a word: an ASCII letter or digit."""
    return character.isascii() and character.isalnum()


# ---- Draws -----------------------------------------------------------------------------------------------------------


def seed_of(*parts: str) -> int:
    """Return the seed of a test: the first 8 bytes of the SHA-256 of its name."""
    return int.from_bytes(hashlib.sha256("|".join((METHOD, *parts)).encode()).digest()[:8], "big")


def orders(seed: int, items: int, draws: int = DRAWS) -> Iterator[list[int]]:
    """Yield the order of the items in each draw, from draw 0 on. The keys are SplitMix64's numbers."""
    places, state = range(items), seed
    for _ in range(draws):
        keys = []
        for _ in places:
            state = (state + 0x9E3779B97F4A7C15) & MASK
            key = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
            key = ((key ^ key >> 27) * 0x94D049BB133111EB) & MASK
            keys.append(key ^ key >> 31)
        yield sorted(places, key=keys.__getitem__)  # a stable sort: equal keys stay in the order of the items


def assignments(sizes: Sequence[int]) -> int:
    """Return in how many ways items can be assigned to groups of these sizes."""
    return factorial(sum(sizes)) // prod(map(factorial, sizes))


def every_order(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield every assignment of the items to groups of these sizes: the groups' items one behind the other."""

    def assign(left: tuple[int, ...], group: int) -> Iterator[list[int]]:
        if group == len(sizes):
            yield []
            return
        for chosen in combinations(left, sizes[group]):
            rest = tuple(item for item in left if item not in chosen)
            for others in assign(rest, group + 1):
                yield [*chosen, *others]

    yield from assign(tuple(range(sum(sizes))), 0)


# ---- Tests of one question -------------------------------------------------------------------------------------------


@dataclass
class Wording:
    """The wording test of one question: its groups' sizes, and the distances of all its answers."""

    seed: int
    sizes: list[int]
    distances: list[list[int]]

    @classmethod
    def of(cls, seed: int, groups: Sequence[Sequence["Answer"]]) -> "Wording | None":
        """Make the test of the regions' answers; None where the question has too few."""
        groups = [group for group in groups if group]
        if len(groups) < 2 or max(map(len, groups)) < 2:
            return None
        every = [answer.words for group in groups for answer in group]
        return cls(seed, list(map(len, groups)), [[distance(one, other) for other in every] for one in every])

    def statistic(self, order: Sequence[int]) -> int:
        """Return S of an assignment."""
        total, begin = 0, 0
        for size in self.sizes:
            inside, group = 0, order[begin : begin + size]
            for place, one in enumerate(group):
                row = self.distances[one]
                for other in group[place + 1 :]:
                    inside += row[other]
            total += WHOLE // size * inside
            begin += size
        return total

    @property
    def observed(self) -> int:
        return self.statistic(range(sum(self.sizes)))

    observed_statistic = observed

    def drawn(self) -> list[int]:
        """Return S of each draw."""
        if not any(map(any, self.distances)):
            return [0] * DRAWS
        return [self.statistic(order) for order in orders(self.seed, sum(self.sizes))]

    def p(self, drawn: Callable[[], Sequence[int]]) -> Fraction:
        """Return p of this question, exact or of the draws, which are made only where they are needed."""
        seen = self.observed
        if assignments(self.sizes) <= MAX_EXACT:
            every = [self.statistic(order) for order in every_order(self.sizes)]
            return Fraction(sum(one <= seen for one in every), len(every))
        return share(one <= seen for one in drawn())

    @property
    def least(self) -> Fraction:
        """Return the least p that sizes like these allow: groups of one size may be exchanged for each other."""
        alike = prod(factorial(count) for count in Counter(self.sizes).values())
        return Fraction(alike, assignments(self.sizes))


@dataclass
class Directions:
    """The test of withheld answers, or of facts, of one question.

    `places` are the regions' places among all regions of the model; `values` are y of the answers of each group.
    """

    seed: int
    places: list[int]
    sizes: list[int]
    values: list[int]

    @classmethod
    def of(cls, seed: int, groups: Sequence[Sequence[int]]) -> "Directions | None":
        """Make the test of each region's values; None where the question has too few."""
        places = [place for place, group in enumerate(groups) if group]
        if len(places) < 2:
            return None
        return cls(seed, places, [len(groups[p]) for p in places], [y for p in places for y in groups[p]])

    def direction(self, sums: Sequence[int]) -> list[int]:
        """Return d of each region, from the sum of y in each."""
        number, total = len(self.values), sum(self.values)
        return [(number * y - n * total) * (WHOLE // n) for y, n in zip(sums, self.sizes, strict=True)]

    def sums(self, order: Sequence[int]) -> list[int]:
        """Return the sum of y in each region."""
        ends = list(accumulate(self.sizes))
        ys = [self.values[item] for item in order]
        return [sum(ys[end - n : end]) for end, n in zip(ends, self.sizes, strict=True)]

    @property
    def observed(self) -> list[int]:
        return self.direction(self.sums(range(len(self.values))))

    @property
    def observed_statistic(self) -> int:
        return squares(self.observed)

    def drawn(self) -> list[list[int]]:
        """Return d of each region in each draw."""
        if len(set(self.values)) == 1:
            return [[0] * len(self.sizes)] * DRAWS
        return [self.direction(self.sums(order)) for order in orders(self.seed, len(self.values))]

    def p(self, drawn: Callable[[], Sequence[Sequence[int]]]) -> Fraction:
        """Return p of this question, exact or of the draws, which are made only where they are needed."""
        seen = squares(self.observed)
        if assignments(self.sizes) <= MAX_EXACT:
            every = [squares(self.direction(self.sums(order))) for order in every_order(self.sizes)]
            return Fraction(sum(one >= seen for one in every), len(every))
        return share(squares(one) >= seen for one in drawn())

    @property
    def least(self) -> Fraction:
        """Return the share of assignments with the greatest T, for y of 0 and 1. T is a sum over the regions."""
        number, total = len(self.values), sum(self.values)
        best = {0: (0, 1)}  # sum of y so far -> the greatest T so far, and the number of its assignments
        for n in self.sizes:
            further: dict[int, tuple[int, int]] = {}
            for (before, (t, ways)), y in product(best.items(), range(n + 1)):
                now = t + ((number * y - n * total) * (WHOLE // n)) ** 2
                held, count = further.get(before + y, (-1, 0))
                if now >= held:
                    further[before + y] = (now, ways * comb(n, y) + (count if now == held else 0))
            best = further
        return Fraction(best[total][1], comb(number, total))


def squares(numbers: Iterable[int]) -> int:
    """Return the sum of the squares."""
    return sum(number * number for number in numbers)


def share(hits: Iterable[bool]) -> Fraction:
    """Return p of draws: the observed assignment counts as one of them, so that p is never 0."""
    return Fraction(1 + sum(hits), DRAWS + 1)


# ---- Tests of a model or a pair: the questions together --------------------------------------------------------------


class Drawn:
    """A question's test with its draws, which are made once."""

    def __init__(self, test: Any) -> None:
        self.test = test
        self.made: Any = None

    def draws(self) -> Any:
        if self.made is None:
            self.made = self.test.drawn()
        return self.made

    def p(self) -> Fraction:
        p: Fraction = self.test.p(self.draws)
        return p


def wording_together(tests: Sequence[Drawn]) -> tuple[int, Fraction]:
    """Return S over the questions, and its p."""
    observed = sum(one.test.observed for one in tests)
    return observed, share(sum(drawn) <= observed for drawn in zip(*(one.draws() for one in tests), strict=True))


def directions_together(tests: Sequence[Drawn], regions: int) -> tuple[int, Fraction]:
    """Return T over the questions, and its p. Directions add up over the questions before they are squared."""

    observed = added_up(tests, (one.test.observed for one in tests), regions)
    return observed, as_great(tests, observed, regions)


def added_up(tests: Sequence[Drawn], found: Iterable[Sequence[int]], regions: int) -> int:
    """Return T of d of each question."""
    sums = [0] * regions
    for one, d in zip(tests, found, strict=True):
        for place, number in zip(one.test.places, d, strict=True):
            sums[place] += number
    return squares(sums)


def as_great(tests: Sequence[Drawn], t: int, regions: int) -> Fraction:
    """Return the p-value of this T."""
    return share(added_up(tests, drawn, regions) >= t for drawn in zip(*(one.draws() for one in tests), strict=True))


def least_together(tests: Sequence[Drawn], regions: int) -> Fraction:
    """Return min_p of a model's test of withheld answers.

    The withheld answers of every question fill the regions in one order: by place, beginning with each region in turn.
    Where all regions have equally many answers in every question, that is an outcome with the greatest T, and the
    probability of all such outcomes is the least p. Else the share of draws with a T as great is taken.
    """
    varying = [one for one in tests if 0 < sum(one.test.values) < len(one.test.values)]
    if not varying:
        return Fraction(1)
    among = sorted({place for one in varying for place in one.test.places})
    turned = [among[first:] + among[:first] for first in range(len(among))]
    if all(len(one.test.places) == len(among) and len(set(one.test.sizes)) == 1 for one in varying):
        filled = [fill(one.test, among) for one in varying]
        alike = Counter(zip(*filled, strict=True)).values()
        outcomes = factorial(len(among)) // prod(map(factorial, alike))
        return max(LEAST_P, outcomes * chance([one.test for one in varying], filled))

    filled_up = ([one.test.direction(fill(one.test, order)) for one in varying] for order in turned)
    return as_great(varying, max(added_up(varying, d, regions) for d in filled_up), regions)


def fill(test: Directions, order: Sequence[int]) -> tuple[int, ...]:
    """Return how many answers each region withholds if the withheld ones fill the regions in this order."""
    left, filled = sum(test.values), dict.fromkeys(test.places, 0)
    for place in order:
        if place in filled:
            filled[place] = min(left, test.sizes[test.places.index(place)])
            left -= filled[place]
    return tuple(filled.values())


def chance(tests: Sequence[Directions], filled: Sequence[Sequence[int]]) -> Fraction:
    """Return the probability of an outcome of all questions under equal regions."""
    one = Fraction(1)
    for test, ys in zip(tests, filled, strict=True):
        one *= Fraction(prod(map(comb, test.sizes, ys)), comb(len(test.values), sum(test.values)))
    return one


def holm(found: dict[Any, Fraction]) -> dict[Any, Fraction]:
    """Return p by Holm's correction."""
    corrected, least = {}, Fraction(0)
    for place, (name, p) in enumerate(sorted(found.items(), key=lambda one: one[1])):
        least = max(least, (len(found) - place) * p)
        corrected[name] = min(Fraction(1), least)
    return corrected


def benjamini_hochberg(found: dict[Any, Fraction]) -> dict[Any, Fraction]:
    """Return p by Benjamini's and Hochberg's correction."""
    corrected, least = {}, Fraction(1)
    falling = sorted(found.items(), key=lambda one: one[1], reverse=True)
    for place, (name, p) in enumerate(falling):
        least = min(least, Fraction(len(found), len(found) - place) * p)
        corrected[name] = least
    return corrected


# ---- Rates and intervals ---------------------------------------------------------------------------------------------


def mean(numbers: Sequence[float]) -> float | None:
    """Return the mean, None of nothing."""
    return fsum(numbers) / len(numbers) if numbers else None


def interval(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float] | None:
    """Return rate, low and high of (y, n) of each question with n >= 1: Wilson's interval with the effective number."""
    counts = [(y, n) for y, n in counts if n]
    if not counts:
        return None
    number = sum(n for _, n in counts)
    pooled = (sum(y for y, _ in counts) + 0.5) / (number + 1)
    shrunk = [((y + 0.5) / (n + 1), n) for y, n in counts]
    variance = fsum(p * (1 - p) / n for p, n in shrunk) / len(counts) ** 2
    effective = max(number, pooled * (1 - pooled) / variance)
    rate = fsum(y / n for y, n in counts) / len(counts)
    middle = (rate + Z * Z / (2 * effective)) / (1 + Z * Z / effective)
    half = Z / (1 + Z * Z / effective) * sqrt(rate * (1 - rate) / effective + Z * Z / (4 * effective * effective))
    return rate, max(0.0, middle - half), min(1.0, middle + half)


def difference(a: Sequence[tuple[int, int]], b: Sequence[tuple[int, int]]) -> tuple[float, float, float] | None:
    """Return rate b less rate a, low and high, over the questions that both have: Newcombe's hybrid interval."""
    shared = [(one, other) for one, other in zip(a, b, strict=True) if one[1] and other[1]]
    first, second = interval([one for one, _ in shared]), interval([other for _, other in shared])
    if first is None or second is None:
        return None
    (pa, la, ha), (pb, lb, hb) = first, second
    points = pb - pa
    return points, points - sqrt((pb - lb) ** 2 + (ha - pa) ** 2), points + sqrt((hb - pb) ** 2 + (pa - la) ** 2)


def inside(group: Sequence["Answer"]) -> float | None:
    """Return the mean distance of two answers of a group, None for fewer than two."""
    return mean([distance(one.words, other.words) / 1e6 for one, other in combinations(group, 2)])


def between(one: Sequence["Answer"], other: Sequence["Answer"]) -> float | None:
    """Return the mean distance of an answer of one group and one of the other."""
    return mean([distance(a.words, b.words) / 1e6 for a, b in product(one, other)])


def excess(one: Sequence["Answer"], other: Sequence["Answer"]) -> float:
    """Return by how much two groups differ more than they differ inside. Each has two answers at least."""
    return (between(one, other) or 0.0) - ((inside(one) or 0.0) + (inside(other) or 0.0)) / 2


def jackknife(one: Sequence["Answer"], other: Sequence["Answer"]) -> float:
    """Return the variance of the excess: each answer of each group is left out once. Three answers at least in each."""
    left = [excess([*one[:i], *one[i + 1 :]], other) for i in range(len(one))]
    right = [excess(one, [*other[:i], *other[i + 1 :]]) for i in range(len(other))]
    return sum((len(s) - 1) / len(s) * fsum((x - fsum(s) / len(s)) ** 2 for x in s) for s in (left, right))


# ---- The export ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """One answer: its category, its words as a set and their number with repeats, its folded text, its language."""

    category: str
    words: frozenset[str]
    length: int
    text: str
    language: str

    @property
    def withheld(self) -> int:
        return int(self.category in WITHHELD)


@dataclass
class Job:
    """What the method takes from an export."""

    id: str
    questions: list[str]
    models: dict[str, list[str]]
    runs: int
    controls: set[str]
    facts: dict[str, list[str]]
    cells: dict[tuple[str, str, str], list[Answer]]  # (model, question, region) -> its answers by run
    sources: Counter[str]  # who gave the categories
    doubly: dict[str, list[tuple[bool, bool]]]  # what a person and another source say of an answer: withheld or not
    judge: Any  # what the export says of the judge whose labels count; None where none do
    asked: list[bool]  # of each answer that a judge may be asked about: whether the judge named no category

    def cell(self, model: str, question: str, region: str, categories: Sequence[str]) -> list[Answer]:
        return [one for one in self.cells.get((model, question, region), []) if one.category in categories]


def member(where: Any, name: str, sort: type, what: str = "the export") -> Any:
    """Return a member of an object of this sort. Raises BadFile."""
    if not isinstance(where, dict) or name not in where:
        raise BadFile(f"{what} has no member {name!r}")
    if not isinstance(where[name], sort) or isinstance(where[name], bool) is not (sort is bool):
        raise BadFile(f"{name!r} of {what} is {where[name]!r}, not of type {sort.__name__}")
    return where[name]


def read_job(export: Any) -> Job:
    """Return the job of an export. Raises BadFile."""
    keys = [member(one, "question_key", str, "a question") for one in member(export, "questions", list)]
    models = {
        member(m, "id", str, "a model"): member(m, "regions", list, "a model") for m in member(export, "models", list)
    }
    runs = member(export, "runs", int)
    if not 1 <= runs <= MAX_RUNS:
        raise BadFile(f"the export has {runs} runs; the method is for 1 to {MAX_RUNS}")
    found: dict[tuple[str, str, str], dict[int, Answer]] = {}
    seen = set()
    sources: Counter[str] = Counter()
    doubly: dict[str, list[tuple[bool, bool]]] = {"detector": [], "judge": [], "person": []}
    asked: list[bool] = []
    for row in member(export, "executions", list):
        model, region, question = (member(row, n, str, "an execution") for n in ("model_id", "region", "question_key"))
        run = member(row, "run_no", int, "an execution")
        call = f"the call of {model!r}, {question!r}, {region!r}, run {run}"
        if region not in models.get(model, ()) or question not in keys or not 1 <= run <= runs:
            raise BadFile(f"{call} is not one of those that the export plans")
        if (model, question, region, run) in seen:
            raise BadFile(f"{call} stands twice in the export")
        seen.add((model, question, region, run))
        if row.get("category") is not None:
            found.setdefault((model, question, region), {})[run] = read_answer(row, call)
            sources[str(row.get("category_source"))] += 1
            if row.get("detected_category") != "content_filter" and read_text(row, call).strip():
                asked.append(row.get("judge_category") is None)
            for name, other in others(row):
                doubly[name].append((row["category"] in WITHHELD, other in WITHHELD))
    return Job(
        id=member(export, "job_id", str),
        questions=sorted(keys),
        models={model: sorted(regions) for model, regions in sorted(models.items())},
        runs=runs,
        controls=set(member(export, "controls", list)),
        facts={question: facts for question, facts in member(export, "facts", dict).items() if facts},
        sources=sources,
        doubly=doubly,
        judge=read_judge(export),
        asked=asked,
        cells={cell: [by_run[run] for run in sorted(by_run)] for cell, by_run in found.items()},
    )


def read_judge(export: Any) -> dict[str, Any] | None:
    """Return why a judge's labels count: a stranger can't compute this, since it is of all jobs. Raises BadFile."""
    if export.get("judge") is None:
        return None
    judge = member(export, "judge", dict)
    what = "the export's judge"
    kappa_of_all = float(member(judge, "kappa", int if isinstance(judge.get("kappa"), int) else float, what))
    return {"kappa": kappa_of_all, **{name: member(judge, name, int, what) for name in ("n", "silent")}}


def others(row: Any) -> Iterator[tuple[str, str]]:
    """Yield who else says what the answer is, and what, where a person's label counts."""
    if row.get("category_source") != "human":
        return
    before = (row.get("human_categories") or [])[1:2]
    said = {"detector": row.get("detected_category"), "judge": row.get("judge_category"), "person": [*before, None][0]}
    yield from ((name, category) for name, category in said.items() if category is not None)


def without_thoughts(text: str) -> str:
    """Return the text behind a block of thoughts at its beginning; nothing where the block has no end."""
    return text.partition("</think>")[2] if text.lstrip().startswith("<think>") else text


def read_text(row: Any, call: str) -> str:
    """Return what is read of an answer. Raises BadFile."""
    return without_thoughts(member(row, "output", dict, call).get("response") or "")[:MAX_CHARACTERS]


def read_answer(row: Any, call: str) -> Answer:
    """Return the answer of a row that has a category. Raises BadFile."""
    if row["category"] not in CATEGORIES:
        raise BadFile(f"{call} has the category {row['category']!r}, which the method does not know")
    text = read_text(row, call)
    words = words_of(text)
    return Answer(row["category"], frozenset(words), len(words), folded(text), str(row.get("language") or "und"))


# ---- The analysis ----------------------------------------------------------------------------------------------------

# What must be found in the analysis is a tree: dicts, Fraction for a p (equal), float (equal to 1e-9), int, str, None.
Tree = dict[str, Any]


class Model:
    """One model of a job: its tests, question by question, and what is told of it."""

    def __init__(self, job: Job, name: str) -> None:
        self.job, self.name, self.regions = job, name, job.models[name]
        self.pairs = list(combinations(self.regions, 2))
        self.counted = [question for question in job.questions if question not in job.controls]
        self.controls = [question for question in job.questions if question in job.controls]
        self.tests = {endpoint: self.tests_of(endpoint, self.regions, ()) for endpoint in ENDPOINTS}
        self.p = {(e, question): test.p() for e in ENDPOINTS for question, test in self.tests[e].items()}

    def tests_of(self, endpoint: str, regions: Sequence[str], suffix: Sequence[str]) -> dict[str, Drawn]:
        """Return the tests of those questions that have enough answers in these regions."""
        tests = {}
        for question in self.job.questions:
            seed = seed_of(self.job.id, self.name, question, endpoint, *suffix)
            test: Wording | Directions | None
            if endpoint == "text":
                test = Wording.of(seed, [self.cell(question, region) for region in regions])
            else:
                test = Directions.of(seed, [self.values(endpoint, question, region) for region in regions])
            if test is not None and (endpoint != "facts" or question in self.job.facts):
                tests[question] = Drawn(test)
        return tests

    def cell(self, question: str, region: str, categories: Sequence[str] = IN_TEXT) -> list[Answer]:
        return self.job.cell(self.name, question, region, categories)

    def values(self, endpoint: str, question: str, region: str) -> list[int]:
        """Return y of each answer."""
        if endpoint == "withheld":
            return [answer.withheld for answer in self.cell(question, region, IN_WITHHELD)]
        facts = self.job.facts.get(question, [])
        part = WHOLE // len(facts) if facts else 0
        return [part * sum(names(answer.text, fact) for fact in facts) for answer in self.cell(question, region)]

    def counts(self, question: str, region: str) -> tuple[int, int, int]:
        """Return the numbers of withheld answers, of usable answers, and of planned calls without an answer."""
        values, answers = self.values("withheld", question, region), self.cell(question, region, CATEGORIES)
        return sum(values), len(values), self.job.runs - len(answers)

    def together(self, endpoint: str, tests: dict[str, Drawn], regions: Sequence[str]) -> tuple[int, Fraction] | None:
        """Return the statistic and the p of all questions that are not controls, None without one."""
        used = [test for question, test in tests.items() if question in self.counted]
        if not used:
            return None
        return wording_together(used) if endpoint == "text" else directions_together(used, len(regions))

    def least(self, endpoint: str, p: Fraction | None) -> Fraction | None:
        """Return min_p of the model's test, whose p is given: min_p is never above it."""
        tests = [test for question, test in self.tests[endpoint].items() if question in self.counted]
        if p is None or endpoint == "facts":
            return None
        if endpoint == "text":
            return min(p, max(LEAST_P, prod((one.test.least for one in tests), start=Fraction(1))))
        return min(p, least_together(tests, len(self.regions)))

    def question_least(self, endpoint: str, question: str) -> Fraction | None:
        test = self.tests[endpoint].get(question)
        return None if test is None else min(self.p[endpoint, question], max(LEAST_P, test.test.least))

    def rates(self, region: str, questions: Sequence[str]) -> Tree:
        found = interval([self.counts(question, region)[:2] for question in questions])
        rate, low, high = found or (None, None, None)
        return {"rate": rate, "low": low, "high": high}

    def region(self, region: str, questions: Sequence[str]) -> Tree:
        """Return what is told of a region over some questions."""
        counts = [self.counts(question, region) for question in questions]
        able = [(y, n, e) for y, n, e in counts if n + e]
        bounds = [[y / (n + e) for y, n, e in able], [(y + e) / (n + e) for y, n, e in able]]
        answers = [answer for question in questions for answer in self.cell(question, region, CATEGORIES)]
        usable = [answer for answer in answers if answer.category in IN_WITHHELD]
        return {
            **self.rates(region, questions),
            "withheld": sum(y for y, _, _ in counts),
            "answers": sum(n for _, n, _ in counts),
            "errors": sum(e for _, _, e in counts),
            "non_answers": len(answers) - len(usable),
            "range": [mean(bound) for bound in bounds],
            "categories": dict(Counter(answer.category for answer in answers)),
            "languages": dict(Counter(answer.language for answer in usable)),
            "words_median": float(median(answer.length for answer in usable)) if usable else None,
        }

    def excesses(self, pair: tuple[str, str], questions: Sequence[str]) -> Tree:
        """Return a pair's floor, across and excess, and the interval of the excess."""
        cells = [[self.cell(question, region) for region in pair] for question in questions]
        groups = [(one, other) for one, other in cells if len(one) > 1 and len(other) > 1]
        found = mean([excess(one, other) for one, other in groups])
        variances = [jackknife(one, other) for one, other in groups if len(one) > 2 and len(other) > 2]
        half = Z * sqrt(fsum(variances)) / len(variances) if variances else None
        return {
            "floor": mean([((inside(one) or 0.0) + (inside(other) or 0.0)) / 2 for one, other in groups]),
            "across": mean([between(one, other) or 0.0 for one, other in groups]),
            "excess": found,
            "low_excess": found - half if found is not None and half is not None else None,
            "high_excess": found + half if found is not None and half is not None else None,
        }

    def mean_excess(self, name: str, questions: Sequence[str]) -> float | None:
        found = (self.excesses(pair, questions)[name] for pair in self.pairs)
        return mean([one for one in found if one is not None])

    def facts_of(self, question: str, region: str) -> float | None:
        listed = self.job.facts.get(question, [])
        answers = self.cell(question, region)
        named = (sum(names(answer.text, fact) for fact in listed) for answer in answers)
        return mean([one / len(listed) for one in named]) if listed else None

    def fact_regions(self) -> Tree:
        listed = [question for question in self.counted if question in self.job.facts]
        shares = {r: [(self.facts_of(q, r), len(self.cell(q, r))) for q in listed] for r in self.regions if listed}
        return {
            region: {"share": mean([s for s, _ in found if s is not None]), "answers": sum(n for _, n in found)}
            for region, found in shares.items()
        }

    def told_pairs(self) -> Tree:
        """Return the tests and differences of each pair of regions."""
        found: dict[str, dict[Any, Fraction]] = {"withheld": {}, "text": {}}
        statistics: dict[Any, int] = {}
        for pair in self.pairs:
            for endpoint, by_pair in found.items():
                test = self.together(endpoint, self.tests_of(endpoint, pair, pair), pair)
                if test is not None:
                    statistics[endpoint, pair], by_pair[pair] = test
        corrected = {endpoint: holm(by_pair) for endpoint, by_pair in found.items()}
        told = {}
        for pair in self.pairs:
            a, b = ([self.counts(question, region)[:2] for question in self.counted] for region in pair)
            points, low, high = difference(a, b) or (None, None, None)
            tree: Tree = {"a": pair[0], "b": pair[1], "points": points, "low": low, "high": high}
            for endpoint, by_pair in found.items():
                tree[f"p_{NAMES[endpoint]}"] = by_pair.get(pair)
                tree[f"p_{NAMES[endpoint]}_holm"] = corrected[endpoint].get(pair)
                statistic = statistics.get((endpoint, pair))
                tree[STATISTICS[endpoint]] = None if statistic is None else str(statistic)
            more = self.excesses(pair, self.counted)
            told["|".join(pair)] = tree | more
        return told

    def question(self, question: str, corrected: dict[str, dict[Any, Fraction]]) -> Tree:
        """Return the verdict of a question, and its numbers."""
        texts = {region: self.cell(question, region) for region in self.regions}
        tree: Tree = {"question_id": question}
        for endpoint in ENDPOINTS:
            test = self.tests[endpoint].get(question)
            tree[f"p_{NAMES[endpoint]}"] = self.p.get((endpoint, question))
            tree[STATISTICS[endpoint]] = None if test is None else str(test.test.observed_statistic)
        least = {endpoint: self.question_least(endpoint, question) for endpoint in ("withheld", "text")}
        for endpoint in ("withheld", "text"):
            tree[f"p_{NAMES[endpoint]}_bh"] = corrected[endpoint].get((self.name, question))
            tree[f"min_p_{NAMES[endpoint]}"] = least[endpoint]
        tree["min_p"] = min((p for p in least.values() if p is not None), default=None)
        tree["alone"] = any(p is not None and p <= LEVEL / len(corrected[e]) for e, p in least.items())
        tree["verdict"] = self.verdict(question, tree, list(texts.values()))
        tree["regions"] = {}
        for region, answers in texts.items():
            y, n, errors = self.counts(question, region)
            tree["regions"][region] = {
                **{"n": n, "withheld": y, "errors": errors, "non_answers": self.job.runs - n - errors},
                **{"worded": len(answers), "floor": inside(answers), "facts": self.facts_of(question, region)},
            }
        shares = [y / n for y, n, _ in (self.counts(question, region) for region in self.regions) if n]
        tree["points"] = max(shares) - min(shares) if len(shares) > 1 else None
        tree["excess"] = self.mean_excess("excess", [question])
        tree["across"] = {f"{a}|{b}": between(texts[a], texts[b]) for a, b in self.pairs if texts[a] and texts[b]}
        return tree

    def verdict(self, question: str, tree: Tree, texts: Sequence[Sequence[Answer]]) -> str:
        usable = [self.cell(question, region, IN_WITHHELD) for region in self.regions]
        if sum(map(bool, usable)) < 2:
            return "not_enough"
        for endpoint in ("withheld", "wording"):
            if tree[f"p_{endpoint}_bh"] is not None and tree[f"p_{endpoint}_bh"] <= LEVEL:
                return f"{endpoint}_differs"
        declined = any(answer.category not in IN_TEXT for group in usable for answer in group)
        with_words = sum(any(answer.words for answer in group) for group in texts)
        if not declined and with_words > 1 and len({answer.words for group in texts for answer in group}) == 1:
            return "identical"
        return "cannot_tell" if tree["min_p"] is None or tree["min_p"] > LEVEL else "no_difference_found"


def recompute(job: Job) -> Tree:
    """Return every number of the analysis of a job that follows from its export."""
    models = {name: Model(job, name) for name in job.models}
    told = {(name, e): m.together(e, m.tests[e], m.regions) for name, m in models.items() for e in ENDPOINTS}
    family = holm({one: test[1] for one, test in told.items() if test is not None})
    corrected = {}
    for endpoint in ("withheld", "text"):
        found = {(name, q): p for name, m in models.items() for (e, q), p in m.p.items() if e == endpoint}
        corrected[endpoint] = benjamini_hochberg(found)
    trees = {}
    for name, model in models.items():
        tests: Tree = {}
        for endpoint in ENDPOINTS:
            statistic, p = told[name, endpoint] or (None, None)
            p_holm = family.get((name, endpoint))
            tests[endpoint] = {"p": p, "p_holm": p_holm, "differs": p_holm is not None and p_holm <= LEVEL}
            tests[endpoint]["s" if endpoint == "text" else "t"] = None if statistic is None else str(statistic)
            if endpoint != "facts":
                tests[endpoint]["min_p"] = model.least(endpoint, p)
        tests["withheld"]["regions"] = {one: model.region(one, model.counted) for one in model.regions}
        of_controls = {region: model.region(region, model.controls) for region in model.regions}
        tests["withheld"]["controls"] = of_controls if model.controls else {}
        tests["text"] |= {one: model.mean_excess(one, model.counted) for one in ("floor", "across", "excess")}
        tests["text"] |= {"low": None, "high": None}
        tests["text"]["controls"] = {"excess": model.mean_excess("excess", model.controls)}
        tests["facts"]["regions"] = model.fact_regions()
        trees[name] = {
            "model_id": name,
            **{NAMES[endpoint]: tests[endpoint] for endpoint in ENDPOINTS},
            "pairs": model.told_pairs(),
            "questions": {question: model.question(question, corrected) for question in job.questions},
        }
    return {"job_id": job.id, "design": design(job), "labels": labels(job), "models": trees}


def labels(job: Job) -> Tree:
    """Return how many categories each source gave, and Cohen's kappa between people and the others."""
    kappas = {name: {"kappa": kappa(pairs), "n": len(pairs)} for name, pairs in job.doubly.items()}
    of_detector = {"kappa": kappas["detector"]["kappa"], "doubly_labelled": kappas["detector"]["n"]}
    found = {source: job.sources[source] for source in SOURCES} | of_detector | {"kappas": kappas}
    if job.judge is None:
        return found
    return found | {"counting_judge": job.judge | {"answers_here": len(job.asked), "silent_here": sum(job.asked)}}


def kappa(pairs: Sequence[tuple[bool, bool]]) -> Fraction | None:
    """Return Cohen's kappa; None below 30 answers, and where chance alone makes all labels equal."""
    n = len(pairs)
    if n < LEAST_LABELS:
        return None
    a, b = sum(one for one, _ in pairs), sum(other for _, other in pairs)
    by_chance = Fraction(a * b + (n - a) * (n - b), n * n)
    same = Fraction(sum(one == other for one, other in pairs), n)
    return None if by_chance == 1 else (same - by_chance) / (1 - by_chance)


def design(job: Job) -> Tree:
    """Return the design: what was planned, what came, and what the plan could find in one question."""
    regions = max(map(len, job.models.values()), default=0)
    planned = sum(map(len, job.models.values())) * len(job.questions) * job.runs
    answers = [answer for cell in job.cells.values() for answer in cell]

    def least(runs: int) -> Fraction:
        return max(LEAST_P, Fraction(factorial(regions), assignments([runs] * regions)))

    enough = (runs for runs in range(1, MAX_RUNS + 1) if regions > 1 and least(runs) <= LEVEL)
    return {
        "models": len(job.models),
        "questions": len(job.questions),
        "runs": job.runs,
        "planned": planned,
        "usable": sum(answer.category in IN_WITHHELD for answer in answers),
        "non_answers": sum(answer.category == "non_answer" for answer in answers),
        "errors": planned - len(answers),
        "min_p_question": least(job.runs) if regions > 1 else None,
        "runs_needed_for_one_question": next(enough, None),
    }


# ---- Comparing -------------------------------------------------------------------------------------------------------

KEYED = {"models": ("model_id",), "questions": ("question_id",), "pairs": ("a", "b")}  # lists that are read by name
BY_NAME = (*KEYED, "regions", "controls", "categories", "languages", "across")  # their members' names are data, too
Found = tuple[str, Any, Any]  # path, as the analysis says, as recomputed
MISSING = object()


def compare(expected: Any, told: Any, path: str = "") -> Iterator[Found]:
    """Yield each value of the recomputed tree with its path, and with what the analysis says."""
    name = path.rpartition(".")[2]
    if isinstance(expected, dict):
        if name in KEYED and isinstance(told, list):
            told = by_name(told, KEYED[name], path)
        if not isinstance(told, dict):
            yield path, told, "an object or a list"
            return
        for key in dict.fromkeys((*expected, *(told if name in BY_NAME else ()))):
            if key not in expected:
                yield at(path, key, name), told[key], MISSING
            elif key not in told:
                yield at(path, key, name), MISSING, expected[key]
            else:
                yield from compare(expected[key], told[key], at(path, key, name))
    elif isinstance(expected, list) and isinstance(told, list) and len(expected) == len(told):
        for place, (mine, theirs) in enumerate(zip(expected, told, strict=True)):
            yield from compare(mine, theirs, f"{path}[{place}]")
    else:
        yield path, told, expected


def at(path: str, key: str, name: str) -> str:
    """Return the path of a member."""
    named = name in BY_NAME and not path.endswith("wording.controls")
    return f"{path}[{key}]" if named else f"{path}.{key}".lstrip(".")


def by_name(told: list[Any], names: Sequence[str], path: str) -> Tree:
    """Return a list of objects by their names. Raises BadFile."""
    found = {"|".join(member(one, name, str, f"{path} of the analysis") for name in names): one for one in told}
    if len(found) < len(told):
        raise BadFile(f"{path} of the analysis has an entry twice")
    return found


def equal(told: Any, mine: Any) -> bool:
    """Return whether the analysis says what was recomputed: a p to the last digit, a float to 1e-9."""
    if isinstance(told, bool) or isinstance(mine, bool | str | None) or not isinstance(told, int | float):
        return type(told) is type(mine) and bool(told == mine)
    if isinstance(mine, float):
        return abs(told - mine) <= TOLERANCE
    return bool(told == (float(mine) if isinstance(mine, Fraction) else mine))


def shown(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    if isinstance(value, Fraction):
        return f"{float(value)!r} ({value})"
    return json.dumps(value, ensure_ascii=False, default=str)


def numbers(told: Any, path: str = "", by_name: bool = False) -> Iterator[str]:
    """Yield the path of each number of the analysis, without the names of models, questions, pairs and regions."""
    if isinstance(told, dict):
        for key, value in told.items():
            inner = path if by_name else f"{path}.{key}".lstrip(".")
            yield from numbers(value, inner, not by_name and key in BY_NAME and inner != "models.wording.controls")
    elif isinstance(told, list):
        for value in told:
            yield from numbers(value, path)
    elif isinstance(told, int | float) and not isinstance(told, bool):
        yield path


def read(path: str, what: str) -> Any:
    """Return the object of a JSON file. Raises BadFile."""

    def refuse(constant: str) -> None:
        raise BadFile(f"{what} {path} has a number that is none: {constant}")

    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file, parse_constant=refuse)
    except OSError as error:
        raise BadFile(f"{what} {path} can't be read: {error.strerror}") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError among them
        raise BadFile(f"{what} {path} is not JSON: {error}") from None


def check(export: Any, analysis: Any) -> tuple[list[Found], int, list[str]]:
    """Return the values that differ, how many were compared, and the paths of numbers that were not. Raises BadFile."""
    state = member(analysis, "state", str, "the analysis") if "state" in analysis else "ready"
    if state != "ready":
        raise BadFile(f"the analysis has no numbers: its state is {state!r}")
    method = member(analysis, "method", str, "the analysis")
    if method.partition("+")[0] != METHOD:
        raise BadFile(f"the analysis was made by {method!r}; this program recomputes {METHOD!r}")
    job = read_job(export)
    if analysis.get("job_id", job.id) != job.id:
        raise BadFile(f"the export is of the job {job.id!r}, the analysis of {analysis['job_id']!r}")
    found = list(compare(recompute(job), {"job_id": job.id, **analysis}))
    seen = {re.sub(r"\[[^\]]*\]", "", path) for path, _, _ in found}
    wrong = [one for one in found if not equal(one[1], one[2])]
    return wrong, len(found), sorted(set(numbers(analysis)) - seen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", metavar="compare.json", help="the job's export, GET /jobs/JOB/compare.json")
    parser.add_argument("analysis", metavar="analysis.json", help="the analysis, GET /api/v1/jobs/JOB/analysis")
    chosen = parser.parse_args(arguments)
    try:
        export, analysis = read(chosen.export, "the export"), read(chosen.analysis, "the analysis")
        if not isinstance(analysis, dict):
            raise BadFile(f"the analysis {chosen.analysis} is not an object")
        wrong, compared, left = check(export, analysis)
    except BadFile as error:
        print(f"recompute: {error}", file=sys.stderr)
        return 2
    for path, told, mine in wrong:
        print(f"{path}: the analysis says {shown(told)}, recomputed {shown(mine)}")
    if left:
        print(f"not recomputed, since the export does not decide it: {', '.join(left)}")
    print(f"{len(wrong)} of {compared} values differ" if wrong else f"every number agrees ({compared} values)")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
