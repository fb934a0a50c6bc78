"""The planned calls of a job, sorted into cells: one model's answers to one question in one region."""

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from runner_core.comparison.material import Call, Material
from runner_core.comparison.words import words

Cells = Mapping[str, "Cell"]  # the cells of one question of one model, by region


@dataclass(frozen=True)
class Cell:
    """One model's calls for one question in one region, by run. `planned` calls may have no row in the export."""

    planned: int
    calls: tuple[Call, ...]

    @cached_property
    def usable(self) -> tuple[Call, ...]:
        """The answers that count in the rate of withheld answers."""
        return tuple(call for call in self.calls if call.usable)

    @cached_property
    def worded(self) -> tuple[Call, ...]:
        """The answers whose words are compared."""
        return tuple(call for call in self.calls if call.worded)

    @cached_property
    def words(self) -> tuple[tuple[int, frozenset[str]], ...]:
        """The number of words of each usable answer, and the set of them.

        Equal words of all answers are one object: 2,000 answers of 20,000 characters would else take 300 MB.
        """
        found = (words(call.text) for call in self.usable)
        return tuple((len(one), frozenset(map(sys.intern, one))) for one in found)

    @property
    def lengths(self) -> list[int]:
        """The number of words of each usable answer."""
        return [length for length, _ in self.words]

    @property
    def sets(self) -> list[frozenset[str]]:
        """The set of words of each worded answer."""
        return [found for call, (_, found) in zip(self.usable, self.words, strict=True) if call.worded]

    @property
    def withheld(self) -> int:
        """The number of withheld answers."""
        return sum(call.withheld for call in self.calls)

    @property
    def non_answers(self) -> int:
        """The number of answers that say nothing: they are in no rate."""
        return sum(call.category == "non_answer" for call in self.calls)

    @property
    def errors(self) -> int:
        """The number of planned calls that failed or are not in the export."""
        return self.planned - sum(call.category is not None for call in self.calls)

    def repeats(self, least: int = 0) -> bool:
        """Return whether two or more worded answers all have the same text, of at least so many words."""
        found = {(call.text, length) for call, length in zip(self.usable, self.lengths, strict=True) if call.worded}
        return len(self.worded) > 1 and len(found) == 1 and all(length >= least for _, length in found)


def cells_of(material: Material) -> dict[str, dict[str, Cells]]:
    """Return every planned cell: by model, question and region, each by code point."""
    calls: defaultdict[tuple[str, str, str], list[Call]] = defaultdict(list)
    for call in material.calls:
        calls[call.model, call.question, call.region].append(call)
    return {
        model.id: {
            question: {
                region: Cell(material.runs, tuple(calls[model.id, question, region])) for region in model.regions
            }
            for question in material.questions
        }
        for model in material.models
    }
