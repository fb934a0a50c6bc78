"""Assignments of answers to regions, all of them or drawn: sections 3 and 4 of the method.

If the regions answer alike, the region labels are exchangeable inside one question of one model. An order of the items
is an assignment: the first n_1 items go to the first region, the next n_2 to the second.
"""

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from runner_core.comparison import METHOD
from runner_core.comparison.smallest import DRAWS, MAX_ASSIGNMENTS, WEIGHT, assignments_of

Orders = npt.NDArray[np.intp]  # a column is an order of the items: row k has the item at place k
Whole = npt.NDArray[np.int64]

# The step and the multipliers of SplitMix64: Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014.
_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def seed_of(job: str, model: str, question: str, endpoint: str) -> int:
    """Return the seed of one question's draws, 64 bits. `endpoint` is text, withheld or facts; a pair adds |EU|US."""
    name = "|".join((METHOD, job, model, question, endpoint))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def draws(seed: int, items: int) -> Orders:
    """Return 9,999 drawn orders of `items` items."""
    return order_of(keys(seed, items))


def keys(seed: int, items: int, number: int = DRAWS) -> npt.NDArray[np.uint64]:
    """Return the keys of the items, a row for each draw: SplitMix64's finaliser of a counter."""
    mixed = np.arange(1, number * items + 1, dtype=np.uint64)
    mixed *= _STEP
    mixed += np.uint64(seed)
    for shift, multiplier in ((30, _FIRST), (27, _SECOND)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= multiplier
    mixed ^= mixed >> np.uint64(31)
    return mixed.reshape(number, items)


def order_of(keys: npt.NDArray[np.uint64]) -> Orders:
    """Return the items of each row of keys, in the order of (key, item).

    The item's number replaces the lowest bits of its key, and the keys are sorted: a third of the time of sorting
    indices. Where two keys of a row differ in these bits alone, the indices are sorted.
    """
    items = keys.shape[1]
    low = np.uint64((1 << (items - 1).bit_length()) - 1)
    packed = (keys & ~low) | np.arange(items, dtype=np.uint64)
    packed.sort(axis=1)
    if ((packed[:, 1:] ^ packed[:, :-1]) <= low).any():
        return np.ascontiguousarray(np.argsort(keys, axis=1, kind="stable").T)
    return np.ascontiguousarray((packed & low).T.astype(np.intp))


@lru_cache(maxsize=16)
def assignments(sizes: tuple[int, ...]) -> Orders:
    """Return an order for each assignment of sum(sizes) items to regions of these sizes."""
    orders = list(_assigned(tuple(range(sum(sizes))), sizes))
    return np.ascontiguousarray(np.array(orders, dtype=np.intp).T)


def _assigned(items: tuple[int, ...], sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if len(sizes) == 1:
        yield items
        return
    for mine in combinations(items, sizes[0]):
        rest = tuple(item for item in items if item not in mine)
        for others in _assigned(rest, sizes[1:]):
            yield mine + others


def all_or_none(sizes: tuple[int, ...]) -> Orders | None:
    """Return all assignments where there are at most 20,000, None where a question is tested by draws."""
    return assignments(sizes) if assignments_of(sizes) <= MAX_ASSIGNMENTS else None


def p_of(as_extreme: int, number: int, *, drawn: bool) -> Fraction:
    """Return the p-value of `as_extreme` among `number` assignments.

    The observed assignment is among all of them; it is added to drawn ones. So p is never 0: Phipson and Smyth,
    Permutation p-values should never be zero, 2010.
    """
    return Fraction(as_extreme + 1, number + 1) if drawn else Fraction(as_extreme, number)


def within_sums(distances: Whole, orders: Orders, sizes: Sequence[int]) -> Whole:
    """Return for each order S: the distances inside each region, weighted by 2520 / its size, summed.

    `distances`: a symmetric matrix in millionths.
    """
    items = distances.shape[0]
    flat = distances.ravel()
    rows = orders * items
    total = np.zeros(orders.shape[1], dtype=np.int64)
    start = 0
    for size in sizes:
        inside = np.zeros_like(total)
        for i in range(start, start + size - 1):
            for j in range(i + 1, start + size):
                inside += flat[rows[i] + orders[j]]
        total += inside * (WEIGHT // size)
        start += size
    return total


def region_sums(values: Sequence[int], orders: Orders, sizes: Sequence[int]) -> Whole:
    """Return for each region and each order the sum of the values of the region's items."""
    starts = np.cumsum([0, *sizes[:-1]])
    return np.add.reduceat(np.array(values, dtype=np.int64)[orders], starts, axis=0)
