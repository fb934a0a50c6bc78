"""Writes the tables of an exploration to the terminal and into docs/model.md."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from bench.model.checker import Search
from bench.model.configurations import Configuration, Mutant

BEGIN, END = "<!-- written by python -m bench.model -->", "<!-- /written -->"


@dataclass(frozen=True)
class Explored:
    """A configuration, with the search of its states and the search for runs that never end."""

    configuration: Configuration
    states: Search
    endless: Search


@dataclass(frozen=True)
class Hunted:
    """A mutant, with the search that must find it."""

    mutant: Mutant
    search: Search


def table(explored: list[Explored], hunted: list[Hunted]) -> str:
    """Return both tables in Markdown."""
    lines = [
        "| configuration | states | transitions | depth | seconds | invariants | every job ends |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for e in explored:
        s, forever = e.states, e.endless
        ends = "holds" if not (s.found == "I2" or forever.found) else f"BROKEN: {forever.found or s.found}"
        holds = "hold" if s.found in ("", "I2") else f"BROKEN: {s.found}"
        seconds = s.seconds + forever.seconds
        lines.append(
            f"| ({e.configuration.name}) {e.configuration.about} | {s.states:,} | {s.transitions:,} | {s.depth} "
            f"| {seconds:.0f} | {holds} | {ends} |"
        )
    lines += ["", "| mutant | what it does | found in | as | states until then |", "| --- | --- | --- | --- | ---: |"]
    lines += [
        f"| `{h.mutant.name}` | {h.mutant.about} | ({h.mutant.configuration}) "
        f"| {h.search.found or 'NOT FOUND'} | {h.search.states:,} |"
        for h in hunted
    ]
    return "\n".join(lines)


def write_page(page: Path, explored: list[Explored], hunted: list[Hunted]) -> None:
    """Replace the text between the markers of the page by the tables; the rest is not changed."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    where = f"{os.cpu_count()} processors, {platform.system()}, two searches at once."
    page.write_text(f"{before}{BEGIN}\n{where}\n\n{table(explored, hunted)}\n{END}{after}")
