"""`python -m bench.chaos`: causes faults for twenty minutes or longer, or with --quick for two minutes at most."""

import argparse
import random
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.chaos import failover_rounds, keep, ledger, merge, page, parts, report, tally
from bench.chaos.client import Client
from bench.chaos.deployment import running_deployment
from bench.chaos.drills import drills, reclaimed, too_late
from bench.chaos.faults import Fault, all_faults
from bench.chaos.modes import DEFAULT, FAILOVER, FAST, QUICK, Mode
from bench.chaos.scene import Scene
from bench.chaos.storm import BEGUN, Injection, inject, measure, schedule, tell, wait_for_quiet
from bench.model import traces
from runner_cli.home import CHECKOUT
from runner_core.keys import PrivateKey

LEDGERS = CHECKOUT / "artefacts/chaos"
JOB_TIMEOUT_SECONDS = 300.0
QUICK_SECONDS = 120.0  # for the faults of a quick run


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every promise was kept, 1 if one was broken, 2 if the run proves nothing."""
    parser = argparse.ArgumentParser("python -m bench.chaos", description="Causes every fault and counts the results.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--quick", action="store_true", help="short leases, every fault at most once, no page")
    kind.add_argument("--fast", action="store_true", help="a lease of 1 s, a breaker of 2 s, small stacks")
    kind.add_argument("--failover", action="store_true", help="failovers, each on a stack of its own")
    parser.add_argument(
        "--hours", type=float, default=0.0, metavar="H", help="go on for so long, three rounds at least"
    )
    parser.add_argument("--stacks", type=int, default=1, metavar="N", help="so many side by side, each on its own [1]")
    parser.add_argument(
        "--seed", type=int, default=1, help="decides jobs, faults and their order; the first part's [1]"
    )
    parser.add_argument(
        "--rounds", type=int, help="how often each fault is caused at least [5, 3 with --hours, 1 with --failover]"
    )
    parser.add_argument("--rate", type=float, default=3.0, metavar="N", help="jobs a second [3]")
    parser.add_argument("--only", action="append", metavar="FAULT", help="only this fault; repeat it for more")
    parser.add_argument("--drills", action="store_true", help="lose a long queue too, as a long run always does")
    parser.add_argument("--traces", type=Path, metavar="FILE", help="write every job's events, for bench.model.replay")
    parser.add_argument("--page", type=Path, default=merge.PAGE, help="the page of a long run [docs/faults.md]")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="be one part: leave this ledger, write no page")
    arguments = parser.parse_args(argv)
    if arguments.stacks > 1 and not arguments.fast:
        parser.error("--stacks needs --fast: stacks that share a machine can't keep the default lease's promised times")
    if arguments.quick and arguments.hours:
        parser.error("--hours needs a long run, and --quick is a bounded one")
    for sign in (signal.SIGINT, signal.SIGTERM):  # a script's background job begins with SIGINT ignored
        signal.signal(sign, signal.default_int_handler)
    if arguments.failover:
        return run_failovers(arguments)
    mode = QUICK if arguments.quick else FAST if arguments.fast else DEFAULT
    whole = not (arguments.quick or arguments.only or arguments.ledger)
    try:
        if whole and (arguments.hours or arguments.stacks > 1):
            return run_parts(arguments, mode)
        path = arguments.ledger or LEDGERS / f"{mode.name}-{arguments.seed}.json"
        with tempfile.TemporaryDirectory(prefix="beacon-chaos-", ignore_cleanup_errors=True) as folder:
            status = run(arguments, mode, Path(folder), path)
        return merge.publish(ledger.read(path), arguments.page) if whole else status
    except ledger.LedgerError as error:
        tell(f"INVALID {error}")
        return 2
    except KeyboardInterrupt:
        tell("stopped; nothing was counted")
        return 130


def run_failovers(arguments: argparse.Namespace) -> int:
    """Run the rounds of the failovers, each a part with a seed of its own, then write the page."""
    rounds = []
    try:
        for seed in range(arguments.seed, arguments.seed + (arguments.rounds or FAILOVER.rounds)):
            path = arguments.ledger or LEDGERS / f"{FAILOVER.name}-{seed}.json"
            rounds.append(failover_rounds.run_round(arguments, seed, path))
    except KeyboardInterrupt:
        tell("stopped; only whole rounds have left a ledger")
        return 130
    if arguments.only or arguments.ledger:
        return max(one.status for one in rounds)
    return merge.publish(rounds, arguments.page)


def run_parts(arguments: argparse.Namespace, mode: Mode) -> int:
    """Run a long run's parts, then write the page from their ledgers."""
    options = ["--rate", str(arguments.rate), *(["--fast"] if mode is FAST else [])]
    options += ["--rounds", str(arguments.rounds)] if arguments.rounds else []
    planned = parts.plan(arguments.hours, arguments.stacks, arguments.seed, LEDGERS / mode.name)
    missing = parts.run(planned, options)
    for part in missing:
        tell(f"INVALID seed {part.seed} left no ledger: {part.stem.with_suffix('.log')} says why")
    found = [one for lane in planned for part in lane if part not in missing for one in ledger.read(part.ledger)]
    status = merge.publish(found, arguments.page) if found else 2
    return status or (2 if missing else 0)


def run(arguments: argparse.Namespace, mode: Mode, home: Path, path: Path) -> int:
    """Start the stack, cause the faults, end them, wait, count and print. Write the ledger to `path`."""
    about = {"commit": report.commit(), "machine": report.machine(), "jobs_per_second": arguments.rate}
    began, rounds = time.time(), arguments.rounds or (3 if arguments.hours else mode.rounds)
    with running_deployment(home, mode.settings, mode.counts, mode.answer_seconds) as deployment:
        client = Client(
            deployment.api_url,
            PrivateKey.load(deployment.local.signing_key),
            arguments.seed,
            timeout_seconds=JOB_TIMEOUT_SECONDS,
            patience_seconds=mode.client_seconds,
        )
        scene = Scene(deployment, client, random.Random(f"faults {arguments.seed}"))
        every = all_faults(deployment.lease_seconds, mode.spans)
        faults = [fault for fault in every if not arguments.only or fault.name in arguments.only]
        tell(f"{BEGUN}: {len(faults)} of them, {rounds} rounds at least, seed {arguments.seed}; home {home}")
        client.start(arguments.rate)
        try:
            injections = storm(scene, mode, faults, rounds, arguments)
            drilled = drills(scene) if arguments.drills or (mode is DEFAULT and not arguments.only) else []
            deployment.heal()
            tell("healed; waiting for the clients' last answers and for quiet")
            client.finish()
            quiet = wait_for_quiet(scene, mode.quiet_seconds)
        finally:
            client.abandon()
        tell("quiet" if quiet else f"NOT quiet: {deployment.open_regions()} regions are still open")
        for injection in injections:
            if not injection.missed:
                measure(scene, injection)
        again = reclaimed(deployment, injections)
        counted = tally.count(deployment, client.submissions)
        if arguments.traces:
            tell(f"{traces.write(deployment.ask, arguments.traces)} traces written")
        # Check the promised times in a default run only. In other runs faults overlap, or stacks share the machine.
        late = too_late(drilled, again if mode is DEFAULT else [], deployment.lease_seconds)
        counted.wrong += [(0.0, words) for words in late]
        fenced = sorted(deployment.fenced)
        if not arguments.quick:
            keep.rows(deployment, "job_events", path.with_suffix(".events.csv"))
        if not counted.clean:
            keep.evidence(deployment, path.with_suffix(".evidence"))
    for _, words in (*counted.lost, *counted.duplicated, *counted.wrong):
        tell(f"BROKEN {words}")
    for words in counted.struck:
        tell(f"STRUCK {words}")
    tell(f"tries written {counted.tries}, requests received {counted.received}")
    for injection in injections:
        if injection.missed:
            tell(f"MISSED {injection.fault.name}: {injection.missed}")
    tell(f"jobs: {dict(counted.statuses)}; failed questions: {dict(counted.failures)}; calls {counted.calls}")
    tell(f"submissions without an answer: {counted.unanswered_clients}")
    about |= {"seeds": [arguments.seed], "spans": [(began, time.time())]}
    rows = ledger.rows(faults, injections, counted, fenced)
    part = ledger.part(mode, about, rows, counted, fenced=len(fenced), drilled=drilled, reclaimed=again)
    print(page.table(part), *page.points(part), sep="\n")
    ledger.write(path, [part])
    if not arguments.only:
        least = {"least_accepted": mode.least_accepted, "least_runs": mode.least_runs}
        part = replace(part, short=ledger.shortcomings(part, **least))
    for words in part.short:
        tell(f"INVALID {words}")
    if arguments.quick:
        tell("quick: short leases, every fault at most once, no minimum of jobs; recovery times overlap")
    print(report.summary(arguments.seed, injections, counted, len(fenced)), flush=True)
    return part.status


def storm(scene: Scene, mode: Mode, faults: list[Fault], rounds: int, arguments: argparse.Namespace) -> list[Injection]:
    """Cause every fault of the schedule, one after the other; return what happened."""
    over = time.monotonic() + (QUICK_SECONDS if mode is QUICK else arguments.hours * 3600)
    injections: list[Injection] = []
    planned = schedule(faults, rounds, arguments.seed, lambda: mode is QUICK or time.monotonic() >= over)
    for number, fault in enumerate(planned, 1):
        if mode is QUICK and time.monotonic() + fault.seconds > over:
            tell(f"left out for want of time: {fault.name}")
            continue
        injection = inject(scene, fault, mode.recovery_seconds)
        injections.append(injection)
        took = injection.recovery_seconds
        tell(
            f"{number} {fault.name}: "
            + (injection.missed or (f"recovered in {took:.1f} s" if took is not None else "not recovered yet"))
        )
    return injections


if __name__ == "__main__":
    sys.exit(main())
