"""The planned calls of a job, sorted into cells: one model's answers to one question in one region."""

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
    def words(self) -> tuple[tuple[str, ...], ...]:
        """The words of each usable answer."""
        return tuple(tuple(words(call.text)) for call in self.usable)

    @property
    def words_of_worded(self) -> list[tuple[str, ...]]:
        """The words of each worded answer."""
        return [found for call, found in zip(self.usable, self.words, strict=True) if call.worded]

    @cached_property
    def sets(self) -> list[frozenset[str]]:
        """The set of words of each worded answer."""
        return [frozenset(found) for found in self.words_of_worded]

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

    @property
    def repeats(self) -> bool:
        """Return whether two or more worded answers were given, all with the same text."""
        return len(self.worded) > 1 and len({call.text for call in self.worded}) == 1


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
