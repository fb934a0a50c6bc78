"""The strip of a question's distances: its dots from the words, its means from the result of an analysis."""

import re
from typing import Any

from runner_api.views.strip import HEIGHT, MAX_DOTS, WIDTH, strip

QUESTION: dict[str, Any] = {
    "regions": {"ASIA": {"floor": None}, "EU": {"floor": 0.5}, "US": {"floor": 0.25}},
    "across": {"EU|US": 0.75},
}


def words(*texts: str) -> list[frozenset[str]]:
    return [frozenset(text.split()) for text in texts]


def dots(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.-]+)h", path)]


def test_a_line_for_each_mean_of_the_result() -> None:
    found = strip(QUESTION, {"EU": words("a b", "a c"), "US": words("a b", "a b")})
    assert [(line.name, line.across, line.mean, line.pairs) for line in found] == [
        ("inside EU", False, 0.5, 1),
        ("inside US", False, 0.25, 1),
        ("EU and US", True, 0.75, 4),
    ]
    assert [line.at for line in found] == [WIDTH / 2, WIDTH / 4, WIDTH * 0.75]


def test_the_order_of_the_regions_in_the_stored_result_does_not_matter() -> None:
    """PostgreSQL keeps the members of an object in an order of its own: the shorter names first."""
    stored = {"regions": {"US": {"floor": None}, "ASIA": {"floor": None}}, "across": {"ASIA|US": 0.5}}
    (line,) = strip(stored, {"US": words("a"), "ASIA": words("b")})
    assert (line.name, line.pairs) == ("ASIA and US", 1)


def test_dots_stand_at_the_distances_of_the_words() -> None:
    inside, _, across = strip(QUESTION, {"EU": words("a b", "a c"), "US": words("a b", "a b")})
    assert [x for x, _ in dots(inside.dots)] == [200.0], "two of three words differ"
    assert sorted(x for x, _ in dots(across.dots)) == [0.0, 0.0, 200.0, 200.0]


def test_dots_at_one_place_are_stacked_inside_the_line() -> None:
    same = words(*["a b"] * 10)
    found = strip(QUESTION, {"EU": same, "US": same})
    places = dots(found[-1].dots)
    assert len(places) == 100
    assert len(set(places)) > 1
    assert all(0 < y < HEIGHT for _, y in places)


def test_too_many_dots_are_left_out_and_the_means_stay() -> None:
    many = words(*["a"] * 40)
    assert len(many) * 2 * (len(many) * 2 - 1) // 2 > MAX_DOTS
    assert [(line.dots, line.mean) for line in strip(QUESTION, {"EU": many, "US": many})] == [
        ("", 0.5),
        ("", 0.25),
        ("", 0.75),
    ]


def test_without_means_there_is_no_strip() -> None:
    assert strip({"regions": {"EU": {"floor": None}}, "across": {}}, {"EU": words("a")}) == []
