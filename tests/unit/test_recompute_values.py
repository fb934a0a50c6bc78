"""The check values of docs/comparison.md, by docs/recompute.py."""

import json
import re
from fractions import Fraction
from itertools import product
from math import comb, factorial
from pathlib import Path
from typing import Any

import pytest

from tests.recompute_script import loaded

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/comparison.md").read_text("utf-8")
EXAMPLE = json.loads((ROOT / "docs/comparison-example.json").read_text("utf-8"))
script = loaded()


def values() -> list[tuple[str, str]]:
    """The paths and values of the page's worked example."""
    found = re.findall(r"^\| `([\w.|\\\[\]]+)` \| (\S+) \|$", PAGE.partition("## Worked example")[2], re.MULTILINE)
    return [(path.replace("\\|", "|"), value) for path, value in found]


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    return script.recompute(script.read_job(EXAMPLE))  # type: ignore[no-any-return]


def words(text: str) -> frozenset[str]:
    return frozenset(script.words_of(text))


@pytest.mark.parametrize(("path", "value"), values())
def test_the_worked_example_of_the_page(tree: dict[str, Any], path: str, value: str) -> None:
    found: Any = tree
    for name in re.findall(r"[^.\[\]]+", path):
        found = found[int(name)] if isinstance(found, list) else found[name]
    if isinstance(found, Fraction):
        assert float(found) == float(Fraction(value))
    elif isinstance(found, float):
        assert found == pytest.approx(float(value), abs=1e-12)
    else:
        assert str(found).lower() == value.lower()


def test_the_page_has_a_value_for_each_formula() -> None:
    named = " ".join(path for path, _ in values())
    for name in ("s_wording", "wording.p", "withheld.p", "facts.p", "min_p", "p_holm", "_bh", "low_excess", "points"):
        assert name in named, name


def test_words_and_distance() -> None:
    assert words("Straße 北京 2019, e-mail ﬁn") == {"2019", "e", "fin", "mail", "strasse", "京", "北"}
    assert script.distance(words("Paris is the capital"), words("The capital is Lyon.")) == 400_000
    assert script.distance(frozenset(), frozenset()) == 0
    assert script.words_of("一a二 カナ 한국 a a") == ["一", "a", "二", "カ", "ナ", "한", "국", "a", "a"]


@pytest.mark.parametrize(
    ("name", "seed", "drawn"),
    [
        (("job-1", "m", "q", "text"), 5612278779871417460, ["2310", "3120", "0123"]),
        (("job-1", "m", "q", "text", "EU", "US"), 5263031766241668056, ["0123", "0132", "2310"]),
    ],
)
def test_draws(name: tuple[str, ...], seed: int, drawn: list[str]) -> None:
    assert script.seed_of(*name) == seed
    assert ["".join(map(str, order)) for order in script.orders(seed, 4, 3)] == drawn


def test_the_first_draws_of_the_example() -> None:
    test = script.Model(script.read_job(EXAMPLE), "m").tests["text"]["q1"].test
    first = [test.statistic(order) for order in script.orders(test.seed, 6, 3)]
    told = re.search(r"give S\* =\s+(\d+),\s+(\d+),\s+(\d+)\.", PAGE)
    assert told
    assert first == list(map(int, told.groups()))


@pytest.mark.parametrize(
    ("text", "fact", "named"),
    [
        *(("1989年", "1989", True), ("in 1989.", "1989", True), ("19890", "1989", False), ("x1989", "1989", False)),
        *(("Tanks", "tank*", True), ("Tanks", "tank", False), ("a tank", "tank", True), ("在北京市", "北京", True)),
        *(("the  RED\nsquare", "red square", True), ("hundred square", "red square", False), ("b", "a|b", True)),
        *(("été", "t", False), ("Москвы", "москв", True), ("anything", "|*", False), ("u.s. army", "U.S.", True)),
    ],
)
def test_facts(text: str, fact: str, named: bool) -> None:
    assert script.names(script.folded(text), fact) is named


@pytest.mark.parametrize(
    ("sizes", "withheld", "least"),
    [((3, 3), 2, "2/5"), ((5, 5), 5, "1/126"), ((5, 5, 5), 1, "1"), ((2, 3, 3), 2, "1/28"), ((3, 3), 0, "1")],
)
def test_the_smallest_p_of_a_question(sizes: tuple[int, ...], withheld: int, least: str) -> None:
    """Compared with an enumeration of all tables."""
    ys = [1] * withheld + [0] * (sum(sizes) - withheld)
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    test = script.Directions.of(0, [ys[end - n : end] for end, n in zip(ends, sizes, strict=True)])
    tables = [one for one in product(*(range(n + 1) for n in sizes)) if sum(one) == withheld]
    ts = {one: script.squares(test.direction(one)) for one in tables}
    ways = {one: factorial(0) for one in tables}
    for one in tables:
        for n, y in zip(sizes, one, strict=True):
            ways[one] *= comb(n, y)
    greatest = sum(ways[one] for one in tables if ts[one] == max(ts.values()))
    assert test.least == Fraction(greatest, comb(sum(sizes), withheld)) == Fraction(least)


@pytest.mark.parametrize(("refused", "least"), [((1, 1, 1), "1/64"), ((1, 2), "1/4"), ((0, 8), "1"), ((1, 8), "1")])
def test_the_smallest_p_of_withheld_answers_of_a_model(refused: tuple[int, ...], least: str) -> None:
    """Eight regions with one answer each."""
    tests = [script.Drawn(script.Directions.of(0, [[int(place < y)] for place in range(8)])) for y in refused]
    assert script.least_together(tests, 8) == Fraction(least)


def test_the_pages_table_of_the_smallest_p_of_wording() -> None:
    rows = re.findall(r"^\| ([234]) \|((?: \.\d+ \|)+)$", PAGE, re.MULTILINE)
    assert len(rows) == 3
    for regions, cells in rows:
        for runs, cell in enumerate(re.findall(r"\.\d+", cells), start=2):
            sizes = [runs] * int(regions)
            least = max(script.LEAST_P, Fraction(factorial(int(regions)), script.assignments(sizes)))
            assert f"{float(least):.{len(cell) - 1}f}" == f"0{cell}"


def test_corrections() -> None:
    found = {"a": Fraction(1, 100), "b": Fraction(4, 100), "c": Fraction(3, 100)}
    assert script.holm(found) == {"a": Fraction(3, 100), "c": Fraction(6, 100), "b": Fraction(6, 100)}
    corrected = {"a": Fraction(1, 25), "b": Fraction(4, 75), "c": Fraction(4, 75), "d": Fraction(1, 2)}
    assert script.benjamini_hochberg({**found, "d": Fraction(1, 2)}) == corrected


def test_intervals() -> None:
    us, eu = [(1, 3), (1, 3), (2, 3)], [(0, 3), (0, 3), (0, 2)]
    assert script.interval(us) == pytest.approx((0.4444444444444444, 0.1933606713767484, 0.7275112885769615), abs=1e-12)
    assert script.interval(eu) == pytest.approx((0, 0, 0.32440756488388023), abs=1e-12)
    assert script.difference(eu, us) == pytest.approx((4 / 9, 0.034220933109709695, 0.7275112885769615), abs=1e-12)
    assert script.interval([(0, 0)]) is None


def test_the_excess_of_a_question() -> None:
    eu, us = (EXAMPLE_CELLS["q1", region] for region in ("EU", "US"))
    assert script.excess(eu, us) == pytest.approx(0.3148147777777778, abs=1e-12)
    assert script.jackknife(eu, us) == pytest.approx(0.0409636330589877, abs=1e-12)


def test_the_pages_table_of_what_the_distance_sees() -> None:
    """The share of pairs with a greater distance than paraphrases and reformatted texts have; equal ones count half."""
    pairs = [json.loads(line) for line in (ROOT / "tests/data/pairs.jsonl").read_text("utf-8").splitlines()]
    found: dict[str, list[int]] = {}
    for pair in pairs:
        found.setdefault(pair["kind"], []).append(script.distance(words(pair["a"]), words(pair["b"])))
    alike = found["paraphrase"] + found["format"]
    table = PAGE.partition("<!-- pairs")[2].partition("<!-- /pairs")[0].splitlines()
    kinds, told = ([cell.strip() for cell in table[place].strip("|").split("|")] for place in (1, 3))
    for kind, share in zip(kinds, told, strict=True):
        other = found[kind.replace(" ", "_")]
        above = sum((b > a) + (b == a) / 2 for a in alike for b in other) / len(alike) / len(other)
        assert round(above, 2) == float(share), kind


EXAMPLE_CELLS = {key[1:]: cell for key, cell in script.read_job(EXAMPLE).cells.items()}
