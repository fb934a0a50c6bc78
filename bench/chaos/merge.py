"""`python -m bench.chaos.merge LEDGER...`: adds up the ledgers of parts and writes docs/faults.md from them.

The page has three sections: many faults with short leases, the times of recovery with the default lease, and failovers.
The ledgers of all are stored beside the page, so that a run of one kind does not change the other sections.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from bench.chaos import page
from bench.chaos.ledger import COUNTED, Ledger, LedgerError, Row, read, shortcomings, write
from bench.chaos.modes import DEFAULT, FAILOVER, FAST, QUICK

PAGE = Path(__file__).parent.parent.parent / "docs/faults.md"
MODES = {mode.name: mode for mode in (DEFAULT, QUICK, FAST, FAILOVER)}
ALIKE = ("mode", "commit", "machine", "settings", "processes", "jobs_per_second")
LISTED = ("seeds", "spans", "drills", "reclaimed", "lost", "duplicated", "wrong", "short")
NUMBERS = (*COUNTED, "repeated", "struck", "fenced")


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every part is clean, 1 if one is not, 2 if they prove nothing or can't be added up."""
    parser = argparse.ArgumentParser("python -m bench.chaos.merge", description="Writes docs/faults.md from ledgers.")
    parser.add_argument("ledgers", nargs="*", type=Path, metavar="LEDGER", help="none: write the page anew")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page is [docs/faults.md]")
    parser.add_argument("--least", type=int, default=0, metavar="N", help="fewer faults prove nothing [0]")
    arguments = parser.parse_args(argv)
    try:
        return publish([one for path in arguments.ledgers for one in read(path)], arguments.page, arguments.least)
    except LedgerError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def publish(parts: Sequence[Ledger], path: Path, least: int = 0) -> int:
    """Write the page to `path` and the parts beside it. Return the exit status of the worst. Raises LedgerError."""
    kept = path.with_suffix(".json")
    all_parts = by_mode(read(kept)) if kept.exists() else {}
    given = by_mode(parts)
    all_parts.update(given)
    sums = {mode: merge(found) for mode, found in all_parts.items()}
    path.write_text(page.text(sums, path.read_text() if path.exists() else ""))
    write(kept, (one for mode in sorted(all_parts) for one in all_parts[mode]))
    status = 0
    for mode in given:
        total = sums[mode]
        words = list(total.short)
        if total.faults < least:
            words.append(f"{total.faults} faults were caused, at least {least} are needed")
        for broken in (*total.lost, *total.duplicated, *total.wrong):
            sys.stderr.write(f"BROKEN {broken}\n")
        for word in words:
            sys.stderr.write(f"INVALID {word}\n")
        status = 1 if status == 1 or not total.clean else max(status, 2 if words else 0)
    return status


def by_mode(parts: Sequence[Ledger]) -> dict[str, list[Ledger]]:
    """Return the parts of each mode."""
    return {name: found for name in MODES if (found := [one for one in parts if one.mode == name])}


def merge(parts: Sequence[Ledger]) -> Ledger:
    """Return the sum of the parts of one mode. What a part lacks is listed with its seed. Raises LedgerError."""
    seeds = [seed for one in parts for seed in one.seeds]
    if twice := sorted(seed for seed, times in Counter(seeds).items() if times > 1):
        raise LedgerError(f"the part of seed {', '.join(map(str, twice))} was given more than once")
    for one in parts[1:]:
        for name in ALIKE:
            mine, first = getattr(one, name), getattr(parts[0], name)
            if mine != first:
                raise LedgerError(f"seed {one.seeds[0]} has another {name} than seed {seeds[0]}: {mine}, not {first}")
        if [(row.name, row.told) for row in one.rows] != [(row.name, row.told) for row in parts[0].rows]:
            raise LedgerError(f"seed {one.seeds[0]} has other faults than seed {seeds[0]}")
    return reduce(_add, [_named(one) for one in parts])


def _named(one: Ledger) -> Ledger:
    """Return the part with its seed in each sentence, and with what it lacks."""
    mode, which = MODES[one.mode], f"seed {one.seeds[0]}: "
    short = shortcomings(one, least_accepted=mode.least_accepted, least_runs=mode.least_runs)
    words: dict[str, Any] = {
        name: [which + word for word in getattr(one, name)] for name in ("lost", "duplicated", "wrong")
    }
    return replace(one, short=[which + word for word in short], **words)


def _add(one: Ledger, other: Ledger) -> Ledger:
    return replace(
        one,
        rows=[_add_rows(a, b) for a, b in zip(one.rows, other.rows, strict=True)],
        statuses=dict(Counter(one.statuses) + Counter(other.statuses)),
        failures=dict(Counter(one.failures) + Counter(other.failures)),
        verified=one.verified and other.verified,
        **{name: getattr(one, name) + getattr(other, name) for name in (*LISTED, *NUMBERS)},
    )


def _add_rows(one: Row, other: Row) -> Row:
    added = (*("runs", "missed", "lost", "duplicated", "repeated", "fenced", "recovery"), "first_accepted", "read_only")
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in added})


if __name__ == "__main__":
    sys.exit(main())
