"""Seeds, draws, assignments and the smallest p-values: the check values of the method, and brute force beside them."""

from fractions import Fraction
from itertools import pairwise, permutations, product
from math import comb, prod
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_core.comparison import smallest
from runner_core.comparison.permute import (
    all_or_none,
    assignments,
    draws,
    keys,
    order_of,
    p_of,
    region_sums,
    seed_of,
    within_sums,
)

MASK = 2**64 - 1


def finalised(z: int) -> int:
    """SplitMix64's finaliser in whole numbers of Python."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


@pytest.mark.parametrize(
    ("endpoint", "seed", "orders"),
    [
        ("text", 5612278779871417460, ["2310", "3120", "0123"]),
        ("text|EU|US", 5263031766241668056, ["0123", "0132", "2310"]),
    ],
)
def test_the_check_values_of_draws(endpoint: str, seed: int, orders: list[str]) -> None:
    assert seed_of("job-1", "m", "q", endpoint) == seed
    drawn = draws(seed, 4)
    assert drawn.shape == (4, 9_999)
    assert ["".join(map(str, drawn[:, b])) for b in range(3)] == orders


@given(st.integers(0, MASK), st.integers(1, 80))
@settings(max_examples=20, deadline=None)
def test_a_draw_is_sorted_by_key_and_item(seed: int, items: int) -> None:
    for b in (0, 1, 9_998):
        expected = [finalised(seed + 0x9E3779B97F4A7C15 * (b * items + i + 1) & MASK) for i in range(items)]
        assert keys(seed, items)[b].tolist() == expected
        assert draws(seed, items)[:, b].tolist() == sorted(range(items), key=lambda i: (expected[i], i))


@given(st.lists(st.lists(st.integers(0, 40), min_size=5, max_size=5), min_size=1, max_size=5))
def test_keys_that_collide_go_by_item(rows: list[list[int]]) -> None:
    orders = order_of(np.array(rows, dtype=np.uint64))
    assert orders.T.tolist() == [sorted(range(5), key=lambda i: (row[i], i)) for row in rows]


@pytest.mark.parametrize("sizes", [(2, 2), (1, 3), (2, 1, 2), (1, 1, 1, 1), (3,)])
def test_every_assignment_once(sizes: tuple[int, ...]) -> None:
    starts = np.cumsum([0, *sizes])

    def parts(order: tuple[int, ...]) -> tuple[frozenset[int], ...]:
        return tuple(frozenset(order[a:b]) for a, b in pairwise(starts))

    found = [parts(tuple(column)) for column in assignments(sizes).T.tolist()]
    assert len(found) == len(set(found)) == smallest.assignments_of(sizes)
    assert set(found) == {parts(order) for order in permutations(range(sum(sizes)))}


def test_up_to_20000_assignments_are_counted() -> None:
    assert smallest.assignments_of((8, 8)) == 12_870
    assert all_or_none((8, 8)) is not None
    assert all_or_none((9, 9)) is None


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_sums_inside_regions(sizes: list[int], chance: Random) -> None:
    items = sum(sizes)
    half = np.array([[chance.randint(0, 10**6) for _ in range(items)] for _ in range(items)])
    matrix = np.triu(half, 1) + np.triu(half, 1).T
    orders = draws(1, items)[:, :3]
    values = half[0].tolist()
    for b in range(3):
        start, s, sums = 0, 0, []
        for size in sizes:
            mine = orders[start : start + size, b].tolist()
            s += 2520 // size * sum(int(matrix[i, j]) for i in mine for j in mine if i < j)
            sums.append(sum(values[i] for i in mine))
            start += size
        assert within_sums(matrix, orders, sizes)[b] == s
        assert region_sums(values, orders, sizes)[:, b].tolist() == sums


def test_a_p_value_is_never_0() -> None:
    assert p_of(0, 9_999, drawn=True) == Fraction(1, 10_000)
    assert p_of(9_999, 9_999, drawn=True) == 1
    assert p_of(2, 252, drawn=False) == Fraction(1, 126)


@pytest.mark.parametrize(
    ("regions", "table"),
    [
        (2, {2: 0.333, 3: 0.100, 4: 0.029, 5: 0.0079, 6: 0.0022, 7: 0.0006, 8: 0.0002, 10: 0.0001}),
        (3, {2: 0.067, 3: 0.0036, 4: 0.0002}),
        (4, {2: 0.0095, 3: 0.0001}),
    ],
)
def test_the_table_of_smallest_p_values(regions: int, table: dict[int, float]) -> None:
    for runs, p in table.items():
        found = float(smallest.bounded(smallest.wording([runs] * regions)))
        assert round(found, 3 if p >= 0.01 else 4) == p


def test_empty_regions_do_not_count() -> None:
    assert smallest.wording([3, 0, 3]) == smallest.wording([3, 3]) == Fraction(1, 10)
    assert smallest.wording([2, 3]) == Fraction(1, 10)
    assert smallest.withheld([3, 0, 3], 2) == Fraction(2, 5)


@pytest.mark.parametrize(
    ("sizes", "refused", "p"),
    [
        ([3, 3], 2, "2/5"),
        ([5, 5], 5, "1/126"),
        ([5, 5, 5], 1, "1"),
        ([2, 3, 3], 2, "1/28"),
        ([5, 5], 0, "1"),
        ([5, 5], 10, "1"),
    ],
)
def test_the_smallest_p_value_of_one_question_withheld(sizes: list[int], refused: int, p: str) -> None:
    assert smallest.withheld(sizes, refused) == Fraction(p)


@given(st.lists(st.integers(1, 3), min_size=2, max_size=3), st.integers(0, 9))
@settings(deadline=None)
def test_the_smallest_p_value_is_that_of_all_assignments(sizes: list[int], refused: int) -> None:
    total = sum(sizes)
    refused = min(refused, total)
    sums = region_sums([1] * refused + [0] * (total - refused), assignments(tuple(sizes)), sizes)
    weights = np.array([2520 // size for size in sizes])[:, None]
    t = (((total * sums - np.array(sizes)[:, None] * refused) * weights) ** 2).sum(axis=0)
    assert smallest.withheld(sizes, refused) == Fraction(int((t == t.max()).sum()), t.size)


@pytest.mark.parametrize(
    ("regions", "questions", "p"),
    [
        (2, 6, Fraction(2, 64)),
        (2, 5, Fraction(2, 32)),
        (3, 4, Fraction(3, 81)),
        (3, 3, Fraction(3, 27)),
        (8, 3, Fraction(8, 8**3)),
    ],
)
def test_one_run_tests_a_model_over_many_questions(regions: int, questions: int, p: Fraction) -> None:
    one = dict.fromkeys("ABCDEFGH"[:regions], 1)
    assert smallest.withheld_of_model([(one, 1)] * questions).p == p


def test_the_smallest_p_values_of_a_model() -> None:
    assert smallest.wording_of_model([[3, 3], [3, 3]]) == Fraction(1, 100)
    assert smallest.wording_of_model([[5, 5], [5, 5], [5, 5]]) == Fraction(1, 10_000)
    both = {"EU": 3, "US": 3}
    expected = Fraction(2 * comb(3, 1) * comb(3, 2), comb(6, 1) * comb(6, 2))
    assert smallest.withheld_of_model([(both, 1), (both, 2), (both, 6)]).p == expected
    assert smallest.withheld_of_model([(both, 0)]).p == 1
    eight = dict.fromkeys("ABCDEFGH", 1)
    assert smallest.withheld_of_model([(eight, 1), (eight, 2)]).p == Fraction(1, 4)


def every_share(sizes: dict[str, int], refused: int) -> list[tuple[dict[str, int], int]]:
    """Each way to share the withheld answers of a question, with the number of assignments that have it."""
    shares = (dict(zip(sizes, ys, strict=True)) for ys in product(*(range(n + 1) for n in sizes.values())))
    return [(ys, prod(comb(sizes[r], ys[r]) for r in sizes)) for ys in shares if sum(ys.values()) == refused]


def every_t(questions: list[tuple[dict[str, int], int]]) -> dict[int, Fraction]:
    """The probability of each T of a model, by all assignments of all questions."""
    found: dict[int, Fraction] = {}
    number = prod(comb(sum(sizes.values()), refused) for sizes, refused in questions)
    for chosen in product(*(every_share(*question) for question in questions)):
        sums: dict[str, int] = dict.fromkeys("ABC", 0)
        for (sizes, refused), (ys, _) in zip(questions, chosen, strict=True):
            for region, n in sizes.items():
                sums[region] += (sum(sizes.values()) * ys[region] - n * refused) * (2520 // n)
        t = sum(d * d for d in sums.values())
        found[t] = found.get(t, Fraction(0)) + Fraction(prod(ways for _, ways in chosen), number)
    return found


SIZES = st.tuples(st.integers(1, 3), st.integers(2, 3), st.integers(0, 9))


@given(st.lists(SIZES, min_size=1, max_size=3))
@settings(deadline=None)
def test_equal_numbers_have_the_smallest_p_value_of_all_assignments(
    shapes: list[tuple[int, int, int]],
) -> None:
    regions = "ABC"[: shapes[0][1]]
    questions = [(dict.fromkeys(regions, n), min(refused, n * len(regions))) for n, _, refused in shapes]
    found, chances = smallest.withheld_of_model(questions), every_t(questions)
    assert (found.statistic, found.p) == (max(chances), chances[max(chances)])


@given(st.lists(st.tuples(st.tuples(*[st.integers(1, 3)] * 3), st.integers(1, 4)), min_size=1, max_size=3))
@settings(deadline=None)
def test_a_model_of_unequal_numbers_has_an_outcome_that_is_possible(shapes: list[tuple[tuple[int, ...], int]]) -> None:
    questions = [(dict(zip("ABC", sizes, strict=True)), min(refused, sum(sizes))) for sizes, refused in shapes]
    found, chances = smallest.withheld_of_model(questions), every_t(questions)
    assert found.statistic in chances
    assert found.p in (None, chances[max(chances)])


def test_a_region_with_few_answers_weighs_more_than_the_order_shows() -> None:
    """Why unequal numbers have no exact smallest p-value: here the greatest T fills no order of the regions."""
    questions = [({"A": 5, "B": 1, "C": 5}, 1), ({"A": 1, "B": 5, "C": 5}, 1)]
    found = smallest.withheld_of_model(questions)
    assert found.p is None
    assert found.statistic < max(every_t(questions))
