"""The permutation tests of one question and of all questions of a model: sections 3 to 6 of the method."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from runner_core.comparison.permute import Whole, all_or_none, draws, p_of
from runner_core.comparison.samples import Parts, Sample
from runner_core.comparison.smallest import DRAWS


@dataclass(frozen=True)
class Tested:
    """What a test gave: the statistic (S or T) and its p-value."""

    statistic: int
    p: Fraction


@dataclass(frozen=True)
class Outcome:
    """The test of a model or a pair, None where no question can be tested; and those of its questions, by key.

    `drawn` has the statistic of each draw of a model's test, None for a pair and without a test.
    """

    whole: Tested | None
    questions: dict[str, Tested]
    drawn: Whole | None = None


def run_tests(
    samples: Sequence[Sample],
    seed: Callable[[str], int],
    *,
    together: Container[str],
    each: bool,
) -> Outcome:
    """Test the questions `together` as one, and if `each` also every question alone.

    `seed` gives the seed of a question's draws. A question alone is tested by all assignments, or by draws where
    they are more than 20,000. All together are always tested by draws: draw b of every question at once.
    """
    questions: dict[str, Tested] = {}
    observed: Parts = {}
    drawn: Parts = {}
    for sample in samples:
        if not sample.testable:
            continue
        items = sum(sample.sizes.values())
        own = sample.parts(np.arange(items)[:, None])
        needed = sample.question in together
        every = None if sample.always_the_same else all_or_none(tuple(sample.sizes.values())) if each else None
        null: Parts = {}
        if sample.always_the_same:
            null = {name: np.repeat(part, DRAWS) for name, part in own.items()}
        elif needed or every is None:
            null = sample.parts(draws(seed(sample.question), items))
        if needed:
            _add(observed, own)
            _add(drawn, null)
        if each:
            one = sample.parts(every) if every is not None else null
            questions[sample.question] = _tested(sample, own, one, drawn=every is None)
    if not observed:
        return Outcome(None, questions)
    whole = _tested(samples[0], observed, drawn, drawn=True)
    return Outcome(whole, questions, samples[0].statistic(drawn) if each else None)


def _tested(kind: Sample, observed: Parts, null: Parts, *, drawn: bool) -> Tested:
    statistic = int(kind.statistic(observed)[0])
    others = kind.statistic(null)
    return Tested(statistic, p_of(kind.as_extreme(others, statistic), len(others), drawn=drawn))


def _add(total: Parts, parts: Parts) -> None:
    for name, part in parts.items():
        total[name] = total[name] + part if name in total else part
