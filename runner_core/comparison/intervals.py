"""Rates and their differences with 95 % intervals: section 7 of the method.

They describe these questions and make no claim about others. Sums are exact (math.fsum): every machine gives the
same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt

Z = 1.959963984540054  # the normal distribution's 97.5 % point

Counts = Sequence[tuple[int, int]]  # of each question: withheld answers, usable answers (at least one)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def rate(counts: Counts) -> Estimate | None:
    """Return the mean rate of the questions with Wilson's interval; None without a question.

    Wilson, Probable inference, 1927. Its number of answers is the effective one, which is greater than the plain one
    where the questions' rates differ: they were not drawn from one pot.
    """
    if not counts:
        return None
    questions, answers = len(counts), sum(n for _, n in counts)
    pooled = (sum(y for y, _ in counts) + 0.5) / (answers + 1)
    smoothed = [((y + 0.5) / (n + 1), n) for y, n in counts]
    variance = fsum(p * (1 - p) / n for p, n in smoothed) / questions**2
    return wilson(fsum(y / n for y, n in counts) / questions, max(answers, pooled * (1 - pooled) / variance))


def wilson(p: float, n: float) -> Estimate:
    """Return the rate p with Wilson's interval for n answers, cut at 0 and 1."""
    centre = p + Z * Z / (2 * n)
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # Rounding would leave 1e-17 at an end where the formula gives 0 or 1.
    return Estimate(
        p, max(0.0, (centre - half) / scale) if p else 0.0, min(1.0, (centre + half) / scale) if p < 1 else 1.0
    )


def difference(a: Counts, b: Counts) -> Estimate | None:
    """Return b's rate less a's with the hybrid of their intervals; None without a question. Both have one per question.

    Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10.
    """
    one, other = rate(a), rate(b)
    if one is None or other is None:
        return None
    value = other.value - one.value
    low = value - sqrt((other.value - other.low) ** 2 + (one.high - one.value) ** 2)
    high = value + sqrt((other.high - other.value) ** 2 + (one.value - one.low) ** 2)
    return Estimate(value, low, high)


def bounds(counts: Sequence[tuple[int, int, int]]) -> tuple[float, float] | None:
    """Return the rate if no error were a refusal, and if every one were: (withheld, usable, errors) of each question.

    None without a question that has an answer or an error.
    """
    counts = [(y, n, errors) for y, n, errors in counts if n + errors]
    if not counts:
        return None
    return (
        fsum(y / (n + errors) for y, n, errors in counts) / len(counts),
        fsum((y + errors) / (n + errors) for y, n, errors in counts) / len(counts),
    )
