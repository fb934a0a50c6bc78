"""Whether the labels of a judge count: only where it labels this deployment's answers as people do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner_core.comparison.design import kappa

MIN_ANSWERS = 50  # labelled by a person and by the judge
MIN_KAPPA = 0.7
# A judge that counts goes on to count down to here: each change makes an analysis of every job due.
MIN_KAPPA_STILL = 0.65


@dataclass(frozen=True)
class Measured:
    """How far a judge labels as people do, withheld or not: Cohen's kappa over `answers`; None if it is undefined.

    `silent`: further answers that people labelled, and for which the judge was asked in vain: it named no category.
    """

    kappa: float | None
    answers: int
    silent: int = 0

    def counts(self, *, before: bool = False) -> bool:
        """Return whether the judge's labels count. `before`: whether they have counted until now."""
        least = MIN_KAPPA_STILL if before else MIN_KAPPA
        return self.answers >= MIN_ANSWERS and self.kappa is not None and self.kappa >= least

    def as_json(self) -> dict[str, Any]:
        """Return what an export has as `judge`."""
        return {"kappa": self.kappa, "n": self.answers, "silent": self.silent}


def measured(rows: Iterable[Mapping[str, Any]]) -> Measured:
    """Return a judge's kappa from the rows of the statement judgements.beside_people."""
    found = [(row["by_person"], row["by_judge"]) for row in rows for _ in range(row["answers"])]
    pairs = [(person, judge) for person, judge in found if judge is not None]
    return Measured(kappa(pairs), len(pairs), len(found) - len(pairs))
