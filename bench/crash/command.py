"""`python -m bench.crash`: cut each message of each verb once in each way, and write docs/crash-points.md."""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.crash import coverage, report
from bench.crash.points import Cut, Learned, Result
from bench.crash.preload import preload
from bench.crash.schedule import LaneLost, Lanes, lanes
from bench.crash.servers import servers
from bench.crash.verbs import BY_NAME
from runner_cli.home import CHECKOUT
from runner_core.errors import BeaconError

LANES = 9
PROGRESS_SECONDS = 10.0
PAGE = CHECKOUT / "docs" / "crash-points.md"


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every promise was kept and every statement reached, 1 if not, 2 for a usage error."""
    parser = argparse.ArgumentParser("python -m bench.crash", description=__doc__)
    parser.add_argument("--share", type=_share, default=1.0, metavar="N", help="the share of the points to run [1]")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which ones, and in which order [1]")
    parser.add_argument("--only", default="", metavar="TEXT", help="points whose line in --list contains it")
    parser.add_argument("--list", action="store_true", help="learn the points and print them, run none")
    parser.add_argument("--lanes", type=int, default=LANES, metavar="N", help=f"points side by side [{LANES}]")
    arguments = parser.parse_args(argv)
    verb = arguments.only.partition(";")[0]
    verbs = [name for name in BY_NAME if verb in name] or list(BY_NAME)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job begins with SIGINT ignored
    try:
        with tempfile.TemporaryDirectory(prefix="beacon-crash-", ignore_cleanup_errors=True) as folder:
            return _run(Path(folder), arguments, verbs)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except (BeaconError, LaneLost) as error:
        sys.stderr.write(f"the run itself failed: {error}\n")
        return 2


def _run(home: Path, arguments: argparse.Namespace, verbs: Sequence[str]) -> int:
    began = time.monotonic()
    preload()
    is_whole = not arguments.only and arguments.share == 1
    with servers(home, arguments.lanes) as sites, lanes(sites) as working:
        learned = sorted(_learn(working, verbs), key=lambda found: list(BY_NAME).index(found.verb))
        cuts = [cut for found in learned for cut in found.cuts if arguments.only in str(cut)]
        _say(f"{len(cuts)} points learned in {time.monotonic() - began:.0f} s")
        wrong = [f"CAN'T LEARN {found.verb}: {found.error}" for found in learned if found.error]
        if not arguments.only:
            wrong += unreached(learned)
        if arguments.list:
            print(*cuts, sep="\n")
            results: list[Result] = []
        else:
            results = _cut(working, chosen(cuts, arguments.share, arguments.seed))
    for result in results:
        wrong += [f"BROKEN {result.cut}: {sentence}" for sentence in result.tally.wrong]
    for sentence in wrong:
        print(sentence)
    seconds = time.monotonic() - began
    if results:
        print(report.summary(results, seconds))
    if is_whole and not arguments.list:
        report.write(PAGE, learned, results, wrong, seconds=seconds, commit=_commit(), lanes=arguments.lanes)
        _say(f"wrote {PAGE}")
    return 1 if wrong else 0


def _learn(working: Lanes, verbs: Sequence[str]) -> list[Learned]:
    found = []
    for learned in working.learn(verbs):
        found.append(learned)
        _say(f"{learned.verb}: {learned.error or f'{len(learned.cuts)} points'}")
    return found


def unreached(learned: Iterable[Learned]) -> list[str]:
    """Return a sentence for each statement that a point must reach and that no point reaches."""
    found = list(learned)
    missing = coverage.required({name for one in found for name in one.seen})
    missing -= {name for one in found for name in one.reached}
    return [f"NO POINT REACHES {name}: add it to a verb, or to EXCEPTIONS with a reason" for name in sorted(missing)]


def _cut(working: Lanes, cuts: Sequence[Cut]) -> list[Result]:
    results: list[Result] = []
    began = told = time.monotonic()
    for result in working.run(cuts):
        results.append(result)
        for sentence in result.tally.wrong:
            _say(f"BROKEN {result.cut}: {sentence}")
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            _say(f"{len(results)} of {len(cuts)} points in {told - began:.0f} s")
    return results


def chosen(cuts: Sequence[Cut], share: float, seed: int) -> list[Cut]:
    """Return a share of the points in an order that follows from `seed`: at least one of each verb and way."""
    shuffled = random.Random(seed).sample(cuts, len(cuts))
    if share >= 1:
        return shuffled
    first: dict[tuple[str, str], Cut] = {}
    for cut in shuffled:
        first.setdefault((cut.verb, cut.way), cut)
    rest = [cut for cut in shuffled if first[cut.verb, cut.way] is not cut]
    return [*first.values(), *rest[: max(0, int(len(cuts) * share) - len(first))]]


def _commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True)  # noqa: S607
    return found.stdout.strip() or "unknown"


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1")
    return share


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
