"""The configurations of the model that are explored, and the mutants that must be found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Configuration:
    """Sizes and bounds of one exploration. `defines` are the model's own names."""

    name: str
    about: str
    defines: dict[str, int]


@dataclass(frozen=True)
class Mutant:
    """The model without one guard of the product. `found`: the error that the exploration must find."""

    name: str
    about: str
    configuration: str
    found: str

    @property
    def define(self) -> dict[str, int]:
        """Return the definition that enables the mutant in the model."""
        return {self.name.upper(): 1}


BOUNDS = {"CRASHES": 2, "EMPTIED": 1, "RETRIES": 1, "MAX_ATTEMPTS": 2}

CONFIGURATIONS = [
    Configuration(
        "a",
        "one region, one unit of two answers; two workers, two publishers",
        {**BOUNDS, "R": 1, "U": 1, "A": 2, "W": 2, "P": 2},
    ),
    Configuration(
        "b",
        "two regions, each one unit of one answer; a worker for each, who close together; a cancel",
        {**BOUNDS, "R": 2, "U": 1, "A": 1, "W": 2, "P": 1, "CANCELS": 1, "AT_ONCE": 1},
    ),
    Configuration(
        "c",
        "one region, two units of one answer; two workers; a cancel, a dead message, a time in the queue that ends",
        {
            **BOUNDS,
            "CRASHES": 1,
            "R": 1,
            "U": 2,
            "A": 1,
            "W": 2,
            "P": 1,
            "CANCELS": 1,
            "DEADS": 1,
            "TIMEOUTS": 1,
            "AT_ONCE": 1,
        },
    ),
]

MUTANTS = [
    Mutant("no_fence", "an execution is recorded without the token", "a", "I3"),
    Mutant("recount", "the job is recounted in the statement that takes its lock", "b", "I5"),
    Mutant("by_processed_at", "the sweeper looks for what was not yet sent, not for what has not ended", "a", "I2"),
    Mutant("uncounted", "an attempt does not count when it is claimed", "a", "I6"),
    Mutant("late_answer", "a late answer is stored although its question was asked again", "a", "I3"),
    Mutant("left_out", "a unit is recorded without a usable answer that is stored", "a", "I3"),
    Mutant("after_record", "a late answer is stored although its unit is recorded", "c", "I3"),
]


def configuration(name: str) -> Configuration:
    """Return the configuration of that name."""
    return next(c for c in CONFIGURATIONS if c.name == name)
