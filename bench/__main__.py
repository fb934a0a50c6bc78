"""`python -m bench`: runs every benchmark, also of the peers; writes docs/benchmarks.md, its chart and docs/scaling.md.

`--quick` takes under four minutes, writes nothing, and ends with one line of JSON.
"""

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench import chart, environment, report, scaling, suite, summary
from bench.testbed import running_testbed

DOCS = Path(__file__).parent.parent / "docs"
RAW = DOCS / "benchmarks.json"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks. Return 0 if everything was measured."""
    parser = argparse.ArgumentParser("python -m bench", description="Measures this system beside its peers.")
    parser.add_argument("--quick", action="store_true", help="three peers, two rounds, 100,000 finished jobs")
    parser.add_argument("--rounds", type=int, help="interleaved rounds [3; 2 with --quick]")
    parser.add_argument("--finished", type=int, metavar="N", help="finished jobs in the tables [1000000; 100000]")
    arguments = parser.parse_args(argv)
    plan = suite.QUICK if arguments.quick else suite.FULL
    plan = suite.adjusted(plan, arguments.rounds, arguments.finished)
    began = time.monotonic()
    tell("installing the peers, if need be")
    environment.make()
    with running_testbed() as testbed:
        results = suite.run(testbed, plan, tell)
        results["where"] = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{os.cpu_count()} cores, {_memory_gb():.0f} GB, {platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "postgresql": testbed.one("SHOW server_version"),
            "fsync": testbed.one("SHOW fsync"),
            "redis": _version(testbed.redis.info("server")),
            "load": os.getloadavg()[2],
            "seconds": time.monotonic() - began,
        }
    if arguments.quick:
        last = json.loads(RAW.read_text()) if RAW.exists() else {}
        print(report.quick_text(results, last), flush=True)
        print(json.dumps(summary.summary(results, last)), flush=True)
        return 0
    DOCS.mkdir(exist_ok=True)
    RAW.write_text(json.dumps(results, indent=1) + "\n")
    (DOCS / "benchmarks.md").write_text(report.page(results))
    (DOCS / "benchmarks.svg").write_text(chart.draw(results))
    (DOCS / "scaling.md").write_text(scaling.page(results))
    tell(f"wrote {DOCS / 'benchmarks.md'} in {time.monotonic() - began:.0f} s")
    print(json.dumps(summary.summary(results, {})), flush=True)
    return 0


def tell(words: str) -> None:
    """Write a line of progress to stderr."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def _version(server: dict[str, str]) -> str:
    return server.get("valkey_version") or server["redis_version"]


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


if __name__ == "__main__":
    sys.exit(main())
