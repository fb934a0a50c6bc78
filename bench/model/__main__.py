"""`python -m bench.model`: explores every state of the model of a region run, and checks that it finds all mutants."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.model import checker
from bench.model.checker import CheckerError, Search
from bench.model.configurations import CONFIGURATIONS, MUTANTS, Mutant, configuration
from bench.model.page import Explored, Hunted, table, write_page

PAGE = Path(__file__).parent.parent.parent / "docs/model.md"


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every configuration holds and every mutant is found, 1 if not, 2 if the checker can't run."""
    parser = argparse.ArgumentParser(
        "python -m bench.model",
        description="Explores every state of the model of a region run's life, and finds its mutants.",
        epilog="exit codes: 0 all as it must be, 1 something was found or a mutant was not, 2 the checker can't run",
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this configuration or mutant")
    parser.add_argument("--steps", action="store_true", help="tell the way to what was found, step by step")
    parser.add_argument("--page", type=Path, help=f"write the tables into this page, such as {PAGE.name}")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="searches at once [2]")
    arguments = parser.parse_args(argv)
    names = [c.name for c in CONFIGURATIONS] + [m.name for m in MUTANTS]
    if unknown := set(arguments.only or []).difference(names):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(names)}")
    if absent := checker.missing():
        print(f"not installed: {', '.join(absent)}; on Debian: apt-get install spin gcc libc6-dev", file=sys.stderr)
        return 2
    chosen = arguments.only or names
    try:
        explored, hunted = search(chosen, arguments.side_by_side)
    except CheckerError as error:
        print(f"the model could not be checked: {error}", file=sys.stderr)
        return 2
    print(table(explored, hunted))
    wrong = [*complaints(explored, hunted, whole=not arguments.only)]
    for words in wrong:
        print(f"WRONG {words}")
    if arguments.steps:
        tell_steps(explored, hunted)
    if arguments.page:
        write_page(arguments.page, explored, hunted)
    return 1 if wrong else 0


def search(chosen: list[str], side_by_side: int) -> tuple[list[Explored], list[Hunted]]:
    """Explore the chosen configurations and mutants. Raises CheckerError."""
    with tempfile.TemporaryDirectory(prefix="beacon-model-") as home, ThreadPoolExecutor(side_by_side) as pool:

        def look(how: Callable[..., Search], name: str, defines: dict[str, int]) -> Callable[[], Search]:
            return pool.submit(how, Path(home) / f"{name}-{how.__name__}", defines).result

        configurations = [c for c in CONFIGURATIONS if c.name in chosen]
        # The longest searches first.
        endless = {c.name: look(checker.cycles, c.name, c.defines) for c in reversed(configurations)}
        states = {c.name: look(checker.safety, c.name, c.defines) for c in configurations}
        mutants = [m for m in MUTANTS if m.name in chosen]
        found = {m.name: look(checker.hunt, m.name, mutated(m)) for m in mutants}
        explored = [Explored(c, states[c.name](), endless[c.name]()) for c in configurations]
        return explored, [Hunted(m, found[m.name]()) for m in mutants]


def mutated(mutant: Mutant) -> dict[str, int]:
    """Return the definitions that make a mutant."""
    return {**configuration(mutant.configuration).defines, **mutant.define}


def complaints(explored: list[Explored], hunted: list[Hunted], *, whole: bool) -> list[str]:
    """Return a sentence for each unexpected result."""
    said = []
    for e in explored:
        for what in filter(None, (e.states.found, e.endless.found)):
            said.append(f"configuration {e.configuration.name}: {what}")
    for h in hunted:
        if h.search.found != h.mutant.found:
            said.append(
                f"mutant {h.mutant.name}: {h.search.found or 'not found'}, and {h.mutant.found} was to be found"
            )
    if whole and (never := frozenset.intersection(*(e.states.unreached for e in explored))):
        said.append(f"no configuration ever takes the lines {', '.join(map(str, sorted(never)))} of the model")
    return said


def tell_steps(explored: list[Explored], hunted: list[Hunted]) -> None:
    """Print the steps to each error that was found."""
    found: list[tuple[str, Search]] = [(e.configuration.name, s) for e in explored for s in (e.states, e.endless)]
    for name, one in [*found, *((h.mutant.name, h.search) for h in hunted)]:
        if one.found:
            print(f"\n{name}: {one.found}, after")
            print("\n".join(f"  {step}" for step in one.steps))


if __name__ == "__main__":
    sys.exit(main())
