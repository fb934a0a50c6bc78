"""The p-values of a whole job, corrected in their families: section 9 of the method."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from runner_core.comparison.families import LEVEL, benjamini_hochberg, holm
from runner_core.comparison.tested import TEXT, WITHHELD, ModelTested, Pair


@dataclass(frozen=True)
class Corrected:
    """Corrected p-values: of models by (model, endpoint), of pairs by (model, endpoint, pair), of questions likewise.

    A test that could not be carried out has none, and does not count in its family.
    """

    models: dict[tuple[str, str], Fraction]
    pairs: dict[tuple[str, str, Pair], Fraction]
    questions: dict[str, dict[tuple[str, str], Fraction]]  # by endpoint, then by (model, question)

    def differs(self, model: str, endpoint: str) -> bool:
        """Return whether the model differs in this endpoint."""
        return self.models.get((model, endpoint), Fraction(1)) <= LEVEL

    def marked(self, model: str, endpoint: str, question: str) -> bool:
        """Return whether the question is marked in this endpoint."""
        return self.questions[endpoint].get((model, question), Fraction(1)) <= LEVEL

    def alone(self, endpoint: str, smallest: Fraction | None) -> bool:
        """Return whether a question with this smallest p-value could be marked if it were the only one."""
        return smallest is not None and smallest * len(self.questions[endpoint]) <= LEVEL


def corrected(models: Sequence[ModelTested]) -> Corrected:
    """Correct the p-values of all models of a job.

    Holm over models and endpoints; Holm over the pairs of a model, for each endpoint; Benjamini and Hochberg over all
    questions of all models, for withheld answers and for wording.
    """
    wholes = {(m.model.id, endpoint): tests.whole for m in models for endpoint, tests in m.tests.items()}
    pairs: dict[tuple[str, str, Pair], Fraction] = {}
    for m in models:
        for endpoint in (WITHHELD, TEXT):
            tested = {pair: found[endpoint] for pair, found in m.pairs.items()}
            family = holm({pair: found.p for pair, found in tested.items() if found})
            pairs |= {(m.model.id, endpoint, pair): p for pair, p in family.items()}
    questions = {
        endpoint: benjamini_hochberg(
            {(m.model.id, key): one.p for m in models for key, one in m.tests[endpoint].questions.items()}
        )
        for endpoint in (WITHHELD, TEXT)
    }
    return Corrected(holm({key: found.p for key, found in wholes.items() if found}), pairs, questions)
