"""Which answers are refusals: by the protocol, by rules, and optionally by sentence embeddings. All lists are data."""

from runner_core.refusals.detector import DETECTOR
from runner_core.refusals.filters import FILTERS, Filters
from runner_core.refusals.labels import CATEGORIES, RULES, WITHHELD, Label, Spoken, categorise, prepare, refuses
from runner_core.refusals.language import language_of

__all__ = [
    "CATEGORIES",
    "DETECTOR",
    "FILTERS",
    "RULES",
    "WITHHELD",
    "Filters",
    "Label",
    "Spoken",
    "categorise",
    "language_of",
    "prepare",
    "refuses",
]
