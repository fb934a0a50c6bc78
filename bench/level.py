"""Measures the comparison's level (false alarms where nothing differs) and its power; `make level`.

    python -m bench.level [--jobs N] [--shifted N] [--seeds own|run]

Simulated jobs of three regions go through the product's own code: requests, sandbox, rules of refusal, export,
analysis. `--seeds run` gives each call the number of its run as its seed, in every region and question, which was the
rule of releases before each call had a seed of its own. Without `--seeds` both rules are measured, and the table is
written into docs/comparison.md. Equal arguments give equal numbers. Exit status: 0 if every bar is met.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.simulated_job import SeedOf, Shape, export_of
from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from tests import comparison_page

LEVEL = 0.05
COLUMNS = (
    *(
        "where",
        "`vary`",
        "seeds",
        "jobs",
        "models that differ",
        "must be",
        "models: p <= .05",
        "questions: p <= .05",
        "marked",
    ),
    "excess",
)
RULES: dict[str, SeedOf | None] = {"own": None, "run": lambda call: call.run_no}


@dataclass(frozen=True)
class Scenario:
    """Simulated jobs, and how many of their models must differ: a share from `least` to `most`."""

    name: str
    seeds: str  # a key of RULES
    shape: Shape
    jobs: int
    least: float = 0.0
    most: float = 1.0

    @property
    def bar(self) -> str:
        """Return what the share must be, as shown; "-" where it is only measured."""
        if self.most < 1:
            return f"<= {_share(self.most)}"
        return f">= {_share(self.least)}" if self.least > 0 else "-"


@dataclass
class Found:
    """What the analyses of a scenario's jobs said. One model a job."""

    scenario: Scenario
    differ: int = 0  # models, after correction
    below: int = 0  # models whose wording has p <= .05 before correction
    questions_below: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    excess: list[float] = field(default_factory=list)

    def add(self, model: dict[str, Any]) -> None:
        """Count a model of a result."""
        wording = model["wording"]
        self.differ += any(model[endpoint]["differs"] for endpoint in ("withheld", "wording", "facts"))
        self.below += wording["p"] <= LEVEL
        self.questions_below += sum(question["p_wording"] <= LEVEL for question in model["questions"])
        self.verdicts.update(question["verdict"] for question in model["questions"])
        self.excess.append(wording["excess"])

    @property
    def is_right(self) -> bool:
        """Return whether the share of models that differ is within the scenario's bars."""
        return self.scenario.least <= self.differ / self.scenario.jobs <= self.scenario.most


def scenarios(jobs: int, shifted: int) -> list[Scenario]:
    """Return what is measured: `jobs` jobs without a difference, `shifted` of each other kind."""
    same, other = "nothing differs", "a fifth of the words differs in ASIA"
    most = 0.08  # .05 and two standard errors of 200 jobs
    return [
        Scenario(same, "own", Shape(vary=0.5), jobs, most=most),
        Scenario(same, "own", Shape(vary=0.75), jobs, most=most),
        Scenario(other, "own", Shape(vary=0.5, shift=0.2), shifted, least=0.95),
        # The chances of words are half as far from a half, so that the same shift makes a smaller difference.
        Scenario(other, "own", Shape(vary=0.75, shift=0.2), shifted),
        Scenario(same, "run", Shape(vary=0.5), shifted, most=0.05),
        Scenario(other, "run", Shape(vary=0.5, shift=0.2), shifted, most=0.05),
        # Answers that vary little show a shift also with shared seeds.
        Scenario(other, "run", Shape(vary=0.25, shift=0.2), shifted),
    ]


def measured(scenario: Scenario, tell: Callable[[str], None] = lambda _: None) -> Found:
    """Make the jobs of a scenario and analyse each."""
    found, shape = Found(scenario), scenario.shape
    for number in range(1, scenario.jobs + 1):
        # Jobs of other chances draw other numbers, so that the rows of the table do not repeat one another.
        job_id = f"level-{100 * shape.vary:.0f}-{100 * shape.shift:.0f}-{number}"
        document = export_of(job_id, shape, RULES[scenario.seeds])
        (model,) = analyse(Material.of_export(document))["models"]
        found.add(model)
        if number % 10 == 0:
            tell(f"{scenario.name}, seeds {scenario.seeds}: {found.differ} of {number} models differ")
    return found


def table(every: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of the page's part."""
    shape = every[0].scenario.shape
    verdicts = ", ".join(f"{count} `{verdict}`" for verdict, count in sorted(every[0].verdicts.items()))
    yield f"Jobs of one model, three regions, {shape.questions} questions and {shape.runs} runs of each. An answer is"
    yield "those of 60 words that the call's seed draws. The chances of the words are drawn for each question: from"
    yield "Beta(.8, .8) with the sandbox's option `vary = 0.5`, as answers at temperature 1 are; half as far from .5"
    yield "with 0.75, where the same share of words makes a smaller difference; half as far from 0 or 1 with 0.25."
    yield "`p <= .05` is of wording, before correction."
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for found in every:
        yield f"| {' | '.join(_cells(found))} |"
    yield ""
    yield f"The verdicts of the questions of the first row: {verdicts}."
    yield "With the run's number as the seed of every call, which was the rule before each call had a seed of its own,"
    yield "all regions draw the same random numbers; a job so asked has the caution `shared_seeds`."


def _cells(found: Found) -> Iterator[str]:
    scenario = found.scenario
    questions = scenario.jobs * scenario.shape.questions
    yield scenario.name
    yield f"{scenario.shape.vary:g}"
    yield "each call's own" if scenario.seeds == "own" else "the run's number"
    yield str(scenario.jobs)
    yield f"{found.differ} ({_share(found.differ / scenario.jobs)})"
    yield scenario.bar
    yield _share(found.below / scenario.jobs)
    yield _share(found.questions_below / questions)
    yield f"{sum(found.verdicts[name] for name in ('withheld_differs', 'wording_differs'))} of {questions}"
    yield _excess(sum(found.excess) / scenario.jobs)


def _excess(value: float) -> str:
    return f"{value:z.3f}"  # z: no minus in front of a zero


def _share(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def main(argv: list[str] | None = None) -> int:
    """Measure; return 0 if every bar is met."""
    parser = argparse.ArgumentParser("python -m bench.level", description="Measures the comparison's level and power.")
    parser.add_argument("--jobs", type=int, default=200, help="jobs in which nothing differs [200]")
    parser.add_argument("--shifted", type=int, default=50, help="jobs of each other kind [50]")
    parser.add_argument("--seeds", choices=sorted(RULES), help="one rule alone; prints the table and writes nothing")
    arguments = parser.parse_args(argv)
    wanted = [s for s in scenarios(arguments.jobs, arguments.shifted) if arguments.seeds in (None, s.seeds)]
    every = [measured(scenario, _tell) for scenario in wanted]
    lines = list(table(every))
    if arguments.seeds is None:
        comparison_page.write("level", lines)
    _print(lines)
    wrong = [found.scenario for found in every if not found.is_right]
    _print(f"not within its bar: {scenario.name}, seeds {scenario.seeds}" for scenario in wrong)
    return 1 if wrong else 0


def _tell(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
