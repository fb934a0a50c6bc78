"""Runs the rows about failover, each on a stack of its own, and counts the results of each by itself."""

import argparse
import random
import re
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.chaos import afterwards, keep, ledger, page, report, tally
from bench.chaos.client import Client
from bench.chaos.deployment import running_deployment
from bench.chaos.failovers import PROMOTED_SECONDS, Failover, all_failovers
from bench.chaos.ledger import Ledger, Row
from bench.chaos.modes import FAILOVER
from bench.chaos.scene import Scene
from bench.chaos.storm import inject, measure, tell, wait_for_quiet
from bench.chaos.tally import Tally
from runner_core.keys import PrivateKey

JOB_TIMEOUT_SECONDS = 300.0
WARM = 15  # accepted jobs before a row's fault, so that every process has worked
AFTER_SECONDS = 5.0  # of further jobs after the recovery
# What follows from a loss: calls and tries of which the lost state knew.
CONSEQUENCE = re.compile(r"tries written|are not answers, repeated and vain")


@dataclass(frozen=True)
class Outcome:
    """What one row did: its counts, and the whole tally without what the row may lose."""

    row: Row
    tally: Tally
    fenced: int


def run_round(arguments: argparse.Namespace, seed: int, path: Path) -> Ledger:
    """Run every row once; write the ledger to `path`, print its table, and return it."""
    failovers = [one for one in all_failovers() if not arguments.only or one.fault.name in arguments.only]
    about = {"commit": report.commit(), "machine": report.machine(), "jobs_per_second": arguments.rate}
    began, outcomes = time.time(), []
    for failover in failovers:
        with tempfile.TemporaryDirectory(prefix="beacon-chaos-", ignore_cleanup_errors=True) as folder:
            evidence = path.with_suffix(f".{failover.fault.name}.evidence")
            outcomes.append(run_row(failover, seed, arguments.rate, Path(folder), evidence))
    counted = tally.total([one.tally for one in outcomes])
    about |= {"seeds": [seed], "spans": [(began, time.time())]}
    rows, fenced = [one.row for one in outcomes], sum(one.fenced for one in outcomes)
    part = ledger.part(FAILOVER, about, rows, counted, fenced=fenced, drilled=[], reclaimed=[])
    if not arguments.only:
        short = ledger.shortcomings(part, least_accepted=FAILOVER.least_accepted, least_runs=FAILOVER.least_runs)
        part = replace(part, short=short)
    print(page.table(part), flush=True)
    ledger.write(path, [part])
    return part


def run_row(failover: Failover, seed: int, rate: float, home: Path, evidence: Path) -> Outcome:
    """Start a stack, let the row's fault happen once, wait for the recovery, and count."""
    fault, began = failover.fault, time.monotonic()
    with ExitStack() as stop:
        deployment = stop.enter_context(
            running_deployment(
                home,
                FAILOVER.settings,
                {**FAILOVER.counts, **dict(failover.counts)},
                FAILOVER.answer_seconds,
                arrange=failover.arrange,
            )
        )
        failover.beside(deployment, stop)
        client = Client(
            deployment.api_url,
            PrivateKey.load(deployment.local.signing_key),
            seed,
            timeout_seconds=JOB_TIMEOUT_SECONDS,
            patience_seconds=FAILOVER.client_seconds,
        )
        stop.callback(client.abandon)
        scene = Scene(deployment, client, random.Random(f"{fault.name} {seed}"))
        client.start(rate)
        scene.ended_jobs(WARM)
        injection = inject(scene, fault, FAILOVER.recovery_seconds)
        time.sleep(AFTER_SECONDS)
        deployment.heal()
        client.finish()
        quiet = wait_for_quiet(scene, FAILOVER.quiet_seconds)
        if not injection.missed:
            measure(scene, injection)
        counted = tally.count(deployment, client.submissions)
        logs = list((home / "log").glob("*.log"))
        far = [log for log in logs if log.name.startswith("far_worker.")]
        fenced = len(deployment.fenced) + sum(log.read_text().count("lease lost") for log in far)
        if read_only := afterwards.read_only_lines(logs, injection.moment):
            counted.wrong.append((injection.moment, f"{read_only} late lines in the logs about a read-only server"))
        if not counted.clean or not quiet:
            keep.evidence(deployment, evidence)
    tell("quiet" if quiet else "NOT quiet: regions are still open")
    (row,) = ledger.rows([fault], [injection], counted, [])
    row = replace(
        row,
        lost=len(counted.lost),
        duplicated=len(counted.duplicated),
        repeated=len(counted.repeated),
        fenced=fenced,
        first_accepted=[afterwards.first_accepted(client.submissions, injection.moment)],
        read_only=read_only,
    )
    accepted = counted.accepted
    if failover.may_lose:
        for words in excuse(counted, injection.caused + PROMOTED_SECONDS):
            tell(f"LOST {words}")
    for _, words in (*counted.lost, *counted.duplicated, *counted.wrong):
        tell(f"BROKEN {words}")
    took = injection.recovery_seconds
    felt = injection.missed or ("not recovered" if took is None else f"recovered in {took:.1f} s")
    tell(
        f"{fault.name}: {felt}; accepted {accepted}, lost {row.lost}, duplicated {row.duplicated}, "
        f"repeated calls {row.repeated}, fenced {fenced}, first 202 after {row.first_accepted[0]} s, "
        f"late lines about a read-only server {read_only}; {time.monotonic() - began:.0f} s"
    )
    return Outcome(row, counted, fenced)


def excuse(counted: Tally, promoted: float) -> list[str]:
    """Take out of a tally what its row may lose, and return it: the lost jobs that were accepted before the Unix time
    `promoted`. What follows for calls and tries is taken out too."""
    excused = [words for at, words in counted.lost if at <= promoted]
    names = {words.partition(":")[0] for words in excused}
    counted.wrong = [
        (at, words)
        for at, words in counted.wrong
        if words.split(maxsplit=1)[0].rstrip(":") not in names and not CONSEQUENCE.search(words)
    ]
    counted.accepted -= len(names)
    counted.lost = [(at, words) for at, words in counted.lost if at > promoted]
    return excused
