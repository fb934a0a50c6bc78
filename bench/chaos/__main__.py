"""`python -m bench.chaos`: faults for twenty minutes and more, or, with --quick, a bounded run for every change."""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.chaos import books, report
from bench.chaos.client import Client
from bench.chaos.drills import drills, reclaimed, too_late
from bench.chaos.faults import Fault, Scene, all_faults
from bench.chaos.plant import running_plant
from bench.chaos.storm import Injection, inject, measure, schedule, tell, wait_for_quiet
from runner_core.keys import PrivateKey

PAGE = Path(__file__).parent.parent.parent / "docs/faults.md"
LEAST_ACCEPTED, LEAST_RUNS = 500, 3
JOB_TIMEOUT_SECONDS = 300.0
PATIENCE_SECONDS = 120.0  # of a client
REFUSED_SECONDS = 9.0  # longer than a process waits for a connection of its pool
# A quick run: for faults, after each, for a client, for quiet. With start and counting, three minutes at most.
QUICK_SECONDS, QUICK_PAUSE_SECONDS, QUICK_PATIENCE_SECONDS, QUICK_QUIET_SECONDS = 120.0, 0.5, 20.0, 30.0
QUICK_REFUSED_SECONDS = 4.0
QUICK = {"LEASE_SECONDS": "3", "HEARTBEAT_SECONDS": "1"}


def main(argv: list[str] | None = None) -> int:
    """0 when every promise was kept, 1 when one was broken, 2 when the run proves nothing."""
    parser = argparse.ArgumentParser("python -m bench.chaos", description="Causes every fault and counts the books.")
    parser.add_argument("--quick", action="store_true", help="short leases, every fault at most once, no page")
    parser.add_argument("--seed", type=int, default=1, help="decides jobs, faults and their order [1]")
    parser.add_argument("--rounds", type=int, default=5, help="how often each fault is caused [5]")
    parser.add_argument("--rate", type=float, default=3.0, metavar="N", help="jobs a second [3]")
    parser.add_argument("--only", action="append", metavar="FAULT", help="only this fault; repeat it for more")
    parser.add_argument("--drills", action="store_true", help="lose a long queue too, as a long run always does")
    parser.add_argument("--page", type=Path, default=PAGE, help="where a long run writes its page [docs/faults.md]")
    arguments = parser.parse_args(argv)
    for sign in (signal.SIGINT, signal.SIGTERM):  # a script's background job begins with SIGINT ignored
        signal.signal(sign, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="beacon-chaos-", ignore_cleanup_errors=True) as folder:
        try:
            return run(arguments, Path(folder))
        except KeyboardInterrupt:
            tell("stopped; nothing was counted")
            return 130


def run(arguments: argparse.Namespace, home: Path) -> int:
    """Start, storm, heal, wait, count, tell."""
    began = time.monotonic()
    settings = QUICK if arguments.quick else {}
    with running_plant(home, settings) as plant:
        client = Client(
            plant.api_url,
            PrivateKey.load(plant.local.signing_key),
            arguments.seed,
            timeout_seconds=JOB_TIMEOUT_SECONDS,
            patience_seconds=QUICK_PATIENCE_SECONDS if arguments.quick else PATIENCE_SECONDS,
        )
        dice = random.Random(f"faults {arguments.seed}")
        scene = Scene(plant, client, dice)
        refused = QUICK_REFUSED_SECONDS if arguments.quick else REFUSED_SECONDS
        faults = [f for f in all_faults(plant.lease_seconds, refused) if not arguments.only or f.name in arguments.only]
        rounds = 1 if arguments.quick else arguments.rounds
        tell(f"{len(faults)} faults, {rounds} rounds, seed {arguments.seed}, {arguments.rate:g} jobs/s; home {home}")
        client.start(arguments.rate)
        try:
            injections = storm(scene, faults, rounds, arguments.seed, quick=arguments.quick)
            drilled = drills(scene) if arguments.drills or not (arguments.quick or arguments.only) else []
            plant.heal()
            tell("healed; waiting for the clients' last answers and for quiet")
            client.finish()
            quiet = wait_for_quiet(scene, QUICK_QUIET_SECONDS if arguments.quick else 180)
        finally:
            client.abandon()
        tell("quiet" if quiet else f"NOT quiet: {plant.open_regions()} regions are still open")
        for injection in injections:
            if not injection.missed:
                measure(scene, injection)
        again = reclaimed(plant, injections)
        counted = books.count(plant, client.submissions)
        # A quick run's faults overlap: there a worker's region may have to wait for something else as well.
        late = too_late(drilled, [] if arguments.quick else again, plant.lease_seconds)
        counted.wrong += [(0.0, words) for words in late]
        fenced = sorted(plant.fenced)
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
    text = report.table(faults, injections, counted, fenced)
    print(text)
    points = report.points(drilled, again)
    print(points)
    if arguments.only:
        invalid = []
    elif arguments.quick:
        invalid = shortcomings(injections, faults, counted, least_accepted=1, least_runs=1)
    else:
        invalid = shortcomings(injections, faults, counted, least_accepted=LEAST_ACCEPTED, least_runs=LEAST_RUNS)
    if not (arguments.quick or arguments.only):
        how = f"Defaults (LEASE_SECONDS=15), {arguments.rate:g} jobs/s, {rounds} rounds, seed {arguments.seed}."
        how += " Two API workers, two publishers, two workers per region, each process under its own database role."
        command = f"python -m bench.chaos --seed {arguments.seed} --rounds {rounds}"
        report.write_page(arguments.page, text, points, counted, how, command, time.monotonic() - began)
    for words in invalid:
        tell(f"INVALID {words}")
    if arguments.quick:
        tell("quick: short leases, every fault at most once, no minimum of jobs; recovery times overlap")
    print(report.summary(arguments.seed, injections, counted, len(fenced)), flush=True)
    return 1 if not counted.clean else 2 if invalid else 0


def storm(scene: Scene, faults: list[Fault], rounds: int, seed: int, *, quick: bool) -> list[Injection]:
    """Every fault of the schedule, one after the other."""
    planned = schedule(faults, rounds, seed)
    over = time.monotonic() + QUICK_SECONDS
    injections: list[Injection] = []
    for number, fault in enumerate(planned, 1):
        if quick and time.monotonic() + fault.seconds > over:
            tell(f"left out for want of time: {fault.name}")
            continue
        injection = inject(scene, fault, QUICK_PAUSE_SECONDS if quick else 90.0)
        injections.append(injection)
        took = injection.recovery_seconds
        tell(
            f"{number}/{len(planned)} {fault.name}: "
            + (injection.missed or (f"recovered in {took:.1f} s" if took is not None else "not recovered yet"))
        )
    return injections


def shortcomings(
    injections: list[Injection], faults: list[Fault], counted: books.Books, *, least_accepted: int, least_runs: int
) -> list[str]:
    """Why a run proves nothing."""
    found = []
    if counted.accepted < least_accepted:
        found.append(f"{counted.accepted} jobs accepted, at least {least_accepted} are needed")
    for fault in faults:
        runs = sum(i.fault is fault and not i.missed for i in injections)
        if runs < least_runs:
            found.append(f"{fault.name} was caused {runs} times, at least {least_runs} are needed")
    found += [f"{i.fault.name} met no run in flight" for i in injections if i.missed]
    return found


if __name__ == "__main__":
    sys.exit(main())
