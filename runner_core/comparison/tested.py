"""All tests of one model: its three endpoints, each question's, and each pair of regions'."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from runner_core.comparison import smallest
from runner_core.comparison.cells import Cells
from runner_core.comparison.facts import share
from runner_core.comparison.material import Material, Model
from runner_core.comparison.permute import p_of, seed_of
from runner_core.comparison.samples import Sample, Values, Wording
from runner_core.comparison.spread import Spread
from runner_core.comparison.testing import Outcome, Tested, run_tests

# The endpoints by their names in seeds.
WITHHELD, TEXT, FACTS = "withheld", "text", "facts"

Pair = tuple[str, str]  # two regions, by code point


@dataclass(frozen=True)
class ModelTested:
    """A model's answers and what their tests gave. Endpoints, questions and pairs of regions are keys.

    `main` are the questions that are no controls: what is said of the model and of its pairs is about them.
    """

    model: Model
    main: tuple[str, ...]
    controls: tuple[str, ...]
    cells: Mapping[str, Cells]
    samples: Mapping[str, Mapping[str, Sample]]
    spreads: Mapping[str, Spread]
    tests: Mapping[str, Outcome]
    pairs: Mapping[Pair, Mapping[str, Tested | None]]

    def min_p(self, endpoint: str) -> Fraction | None:
        """Return the smallest p-value that the model's test can give; None without a test, and for facts.

        For withheld answers of which the regions have unequal numbers: the p-value that the test's draws give to the
        outcome of `smallest.withheld_of_model`, which is not below the smallest one but for the chance of the draws.
        It is never above the test's own p-value, which shows that so small a p-value is possible.
        """
        whole, possible = self.tests[endpoint].whole, self._possible(endpoint)
        return possible if possible is None or whole is None else min(possible, whole.p)

    def min_p_of(self, endpoint: str, question: str) -> Fraction | None:
        """Return the smallest p-value that a question's test can give; None without a test."""
        tested = self.tests[endpoint].questions.get(question)
        if tested is None:
            return None
        # By chance, draws give a p-value that is a little smaller than every exact one.
        return min(smallest.bounded(self.samples[endpoint][question].min_p()), tested.p)

    def _possible(self, endpoint: str) -> Fraction | None:
        found = [self.samples[endpoint][key] for key in self.main if key in self.samples[endpoint]]
        found = [sample for sample in found if sample.testable]
        if not found or endpoint == FACTS:
            return None
        if endpoint == TEXT:
            return smallest.wording_of_model([sample.sizes.values() for sample in found])
        concentrated = smallest.withheld_of_model([(one.sizes, one.sum) for one in found if isinstance(one, Values)])
        drawn = self.tests[endpoint].drawn
        if concentrated.p is not None or drawn is None:
            return None if concentrated.p is None else smallest.bounded(concentrated.p)
        # Python's whole numbers: this T may be beyond 64 bits where those of the draws are not.
        return p_of(Values.as_extreme(drawn.astype(object), concentrated.statistic), len(drawn), drawn=True)


def tests_of(material: Material, model: Model, cells: Mapping[str, Cells]) -> ModelTested:
    """Carry out every test of one model. `cells` has its cells by question."""
    main = tuple(key for key in material.questions if key not in material.controls)
    wordings = {key: Wording.of(key, {r: cell.sets for r, cell in found.items()}) for key, found in cells.items()}
    samples: dict[str, Mapping[str, Sample]] = {
        WITHHELD: {key: _withheld(key, found) for key, found in cells.items()},
        TEXT: wordings,
        FACTS: {key: _facts(key, cells[key], listed) for key, listed in material.facts.items() if listed},
    }

    def tested(endpoint: str, pair: Pair | None = None) -> Outcome:
        found = samples[endpoint].values()
        name = endpoint if pair is None else "|".join((endpoint, *pair))
        return run_tests(
            list(found) if pair is None else [sample.of_regions(pair) for sample in found if sample.question in main],
            lambda question: seed_of(material.job_id, model.id, question, name),
            together=main,
            each=pair is None,
        )

    return ModelTested(
        model,
        main,
        tuple(key for key in material.questions if key in material.controls),
        cells,
        samples,
        {key: Spread.of(wording) for key, wording in wordings.items()},
        {endpoint: tested(endpoint) for endpoint in samples},
        {
            pair: {endpoint: tested(endpoint, pair).whole for endpoint in (WITHHELD, TEXT)}
            for pair in combinations(model.regions, 2)
        },
    )


def _withheld(question: str, cells: Cells) -> Values:
    return Values.of(question, {r: [int(call.withheld) for call in cell.usable] for r, cell in cells.items()})


def _facts(question: str, cells: Cells, listed: tuple[str, ...]) -> Values:
    return Values.of(question, {r: [share(call.text, listed) for call in cell.worded] for r, cell in cells.items()})
