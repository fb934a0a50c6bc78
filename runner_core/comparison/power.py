"""How often the tests found a difference of a known size in simulations: tables 7.2 and 7.3 of the method, as data.

Two regions, p <= 0.05 of one test, before any correction.
"""

from dataclasses import dataclass

ADDED = (0.1, 0.2, 0.3, 0.5)  # to every question's rate of withheld answers in one region
EXCESSES = (0.010, 0.022, 0.046, 0.089)  # of wording at temperature 1, for a model
EXCESSES_OF_ONE_QUESTION = (0.022, 0.046, 0.089, 0.143)
EXCESSES_COLD = (0.03, 0.07, 0.13, 0.26)  # at temperature 0.1, for a model
EXCESSES_OF_ONE_QUESTION_COLD = (0.07, 0.13, 0.26, 0.42)


@dataclass(frozen=True)
class Withheld:
    """A row of table 7.2: found in this share of simulations, where nothing and where ADDED was to be found."""

    questions: int
    runs: int
    level: float
    found: tuple[float, float, float, float]


@dataclass(frozen=True)
class Wording:
    """A row of table 7.3: the shares of simulations for one question and for a model of ten questions."""

    runs: int
    one: tuple[float, float, float, float]
    one_cold: tuple[float, float, float, float]
    model: tuple[float, float, float, float]
    model_cold: tuple[float, float, float, float]


WITHHELD = (
    Withheld(1, 5, 0.003, (0.00, 0.02, 0.04, 0.13)),
    Withheld(1, 10, 0.003, (0.01, 0.07, 0.16, 0.49)),
    Withheld(5, 3, 0.003, (0.04, 0.13, 0.34, 0.79)),
    Withheld(5, 5, 0.023, (0.10, 0.24, 0.67, 0.96)),
    Withheld(10, 1, 0.000, (0.00, 0.02, 0.06, 0.40)),
    Withheld(10, 3, 0.020, (0.12, 0.39, 0.72, 1.0)),
    Withheld(10, 5, 0.023, (0.22, 0.67, 0.93, 1.0)),
    Withheld(20, 1, 0.000, (0.04, 0.22, 0.42, 0.87)),
    Withheld(20, 2, 0.020, (0.11, 0.53, 0.82, 1.0)),
    Withheld(20, 3, 0.027, (0.20, 0.72, 0.97, 1.0)),
    Withheld(20, 5, 0.037, (0.42, 0.93, 1.0, 1.0)),
    Withheld(50, 1, 0.033, (0.16, 0.63, 0.94, 1.0)),
    Withheld(50, 3, 0.043, (0.57, 0.99, 1.0, 1.0)),
    Withheld(50, 10, 0.050, (0.98, 1.0, 1.0, 1.0)),
)
WORDING_QUESTIONS = 10
WORDING = (
    Wording(2, (0, 0, 0, 0), (0, 0, 0, 0), (0.21, 0.42, 0.80, 1), (0.86, 0.99, 1, 1)),
    Wording(3, (0, 0, 0, 0), (0, 0, 0, 0), (0.35, 0.72, 1, 1), (1, 1, 1, 1)),
    Wording(4, (0.20, 0.46, 0.86, 0.97), (0.79, 0.98, 1, 1), (0.58, 0.90, 1, 1), (0.99, 1, 1, 1)),
    Wording(5, (0.36, 0.70, 0.94, 1), (0.89, 0.99, 1, 1), (0.64, 0.99, 1, 1), (1, 1, 1, 1)),
    Wording(7, (0.54, 0.81, 0.99, 1), (0.92, 1, 1, 1), (0.81, 1, 1, 1), (1, 1, 1, 1)),
    Wording(10, (0.61, 0.94, 1, 1), (0.95, 1, 1, 1), (0.96, 1, 1, 1), (1, 1, 1, 1)),
)


def withheld(questions: int, runs: int, regions: int) -> Withheld | None:
    """Return the nearest row below: of the most questions, then of the most runs. None without a row."""
    rows = [row for row in WITHHELD if row.questions <= questions and row.runs <= runs and regions == 2]
    return max(rows, key=lambda row: (row.questions, row.runs), default=None)


def wording(questions: int, runs: int, regions: int) -> Wording | None:
    """Return the nearest row below for a model; None without a row."""
    rows = [row for row in WORDING if row.runs <= runs and questions >= WORDING_QUESTIONS and regions == 2]
    return max(rows, key=lambda row: row.runs, default=None)
