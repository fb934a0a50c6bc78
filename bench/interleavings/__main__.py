"""`python -m bench.interleavings`: runs every interleaving of concurrent verbs, and writes their table."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.interleavings import report
from bench.interleavings.side_by_side import places, run, tell
from bench.interleavings.specs import SPECS

PAGE = Path(__file__).parents[2] / "docs/crash-points.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every schedule held, 1 if one was broken or had a deadlock, 2 if the run proves nothing."""
    parser = argparse.ArgumentParser(
        "python -m bench.interleavings",
        description="Runs all interleavings of the verbs that can meet, and checks the results after each.",
        epilog="Exit codes: 0 every schedule held, 1 one was broken or met a deadlock, 2 the run proves nothing.",
    )
    parser.add_argument("--only", action="append", metavar="PAIR", help="only this one; repeat it for more")
    parser.add_argument("--quick", action="store_true", help="the short ones, for every change; no page")
    parser.add_argument("--every", action="store_true", help="every order, also those that can't differ; no page")
    parser.add_argument("--list", action="store_true", help="the names of all, those of --quick with a star")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="side by side [CPUs]")
    parser.add_argument("--page", type=Path, default=PAGE, help="for the table [docs/crash-points.md]")
    arguments = parser.parse_args(argv)
    if arguments.list:
        print("\n".join(f"{'*' if spec.quick else ' '} {spec.name}" for spec in SPECS))
        return 0
    names = {spec.name for spec in SPECS}
    if unknown := [name for name in arguments.only or () if name not in names]:
        parser.error(f"no such pair: {', '.join(unknown)}; --list names them")
    chosen = [s for s in SPECS if (not arguments.only or s.name in arguments.only) and (s.quick or not arguments.quick)]
    for sign in (signal.SIGINT, signal.SIGTERM):  # a script's background job begins with SIGINT ignored
        signal.signal(sign, signal.default_int_handler)
    began = time.monotonic()
    try:
        with places(max(1, min(arguments.processes, len(chosen)))) as where:
            results, disturbed = run(chosen, where, reduced=not arguments.every)
    except KeyboardInterrupt:
        tell("stopped; nothing was proved")
        return 130
    print(text := report.table(results, reduced=not arguments.every))
    for result in results:
        for example in result.examples:
            tell(f"BROKEN {result.name}: {example}")
    for name in disturbed:
        tell(f"NOT RUN {name}")
    tell(f"{time.monotonic() - began:.0f} s")
    if disturbed:
        return 2
    if not (arguments.only or arguments.quick or arguments.every):
        report.write(arguments.page, text)
    return 1 if any(result.broken or result.deadlocks for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
