"""Whether the labels of a judge count: only where the judge says what people say, on this deployment's own answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner_core.comparison.design import kappa

MIN_ANSWERS = 50  # labelled by a person and by the judge
MIN_KAPPA = 0.7


@dataclass(frozen=True)
class Measured:
    """How far a judge says what people say, withheld or not: Cohen's kappa over `answers`; None if it is undefined."""

    kappa: float | None
    answers: int

    @property
    def counts(self) -> bool:
        """Return whether the judge's labels count."""
        return self.answers >= MIN_ANSWERS and self.kappa is not None and self.kappa >= MIN_KAPPA


def measured(rows: Iterable[Mapping[str, Any]]) -> Measured:
    """Return a judge's kappa from the rows of the statement judgements.beside_people."""
    pairs = [(row["by_person"], row["by_judge"]) for row in rows for _ in range(row["answers"])]
    return Measured(kappa(pairs), len(pairs))
