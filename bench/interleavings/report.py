"""Writes the table of schedules into the page. Every number comes from the run."""

from collections.abc import Sequence
from pathlib import Path

from bench.interleavings.runner import Result

FIRST, LAST = "<!-- interleavings -->", "<!-- /interleavings -->"
HEADER = (
    "verbs",
    "steps of each",
    "schedules",
    "with a session that waited",
    "different ends",
    "deadlocks",
    "broken",
    "seconds",
)
PAGE = "# Crash points and interleavings\n"
SECTION = f"""
## Interleavings

What happens when verbs meet. Each verb runs in a session of its own against a real PostgreSQL, and each of its
statements is a step: a gate before the server holds it until the scheduler lets that session go on. All orders of the
steps are run, depth first; a session that waits for a lock waits, and goes on when the lock is free. After each
schedule the invariants I1 to I7 hold, the verbs have said and done what their specification allows, and no lock and no
transaction is left; a deadlock counts even where its verb was repeated. `make interleavings` runs them and writes the
table; `bench/interleavings/specs.py` has the specifications.

Orders that cannot differ count once: where two sessions' transactions have touched no table in common, as the server's
table of locks says; where a statement only reads, and the other has not ended its transaction; and where a statement
waits for a session, whatever that session does before its transaction ends. `--every` runs them all the same, and a
test compares the ends. Two ends are different when more than times, ids and tokens differ.

{FIRST}
{LAST}
"""


def table(results: Sequence[Result], *, reduced: bool) -> str:
    """Return a Markdown table: one row for each specification, and the sum."""
    rows: list[tuple[object, ...]] = [HEADER, ("---", *["---:"] * (len(HEADER) - 1))]
    for result in results:
        rows.append((result.name, " + ".join(map(str, result.steps)), *_numbers([result])))
    rows.append(("**all**", "", *_numbers(results)))
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    left = sum(result.redundant for result in results)
    if reduced:
        lines += ["", f"{left} further runs were left where they began to repeat a schedule of the table."]
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Replace the text between the marks of the page; the rest of the page is not changed."""
    old = page.read_text() if page.exists() else PAGE
    if FIRST not in old:
        old = old.rstrip("\n") + "\n" + SECTION
    before, _, rest = old.partition(FIRST)
    page.write_text(f"{before}{FIRST}\n{text}\n{LAST}{rest.partition(LAST)[2]}")


def _numbers(results: Sequence[Result]) -> tuple[object, ...]:
    def total(name: str) -> int:
        return sum(getattr(result, name) for result in results)

    ends = sum(len(result.ends) for result in results)
    seconds = sum(result.seconds for result in results)
    return total("schedules"), total("waited"), ends, total("deadlocks"), total("broken"), f"{seconds:.1f}"
