"""`make restore-drill`: a dump under load, a crash of everything, and a restore with an empty Redis.

The books are the client's list of 202s and receipts, and the provider's own log. Exit 0: nothing that had ended in the
dump was asked again, nothing was asked twice after the restore, every job of the dump ended, and `beacon verify
--receipts` named what was missing, no more and no less. Exit 1: one of these is not so. Exit 2: the drill met no work
and proves nothing.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.chaos import tally as tallies
from bench.chaos.client import Client, Submission
from bench.chaos.deployment import Deployment, running_deployment
from bench.chaos.tries import Cell, requests
from bench.drill.dump import dump, restore
from bench.drill.keeper import Keeper, Result
from runner_cli.exits import Exit
from runner_cli.home import CHECKOUT, make_home
from runner_core.keys import PrivateKey
from runner_core.session import connect

BEFORE_SECONDS, AFTER_SECONDS = 12.0, 8.0  # load before the dump, and between dump and crash
JOB_TIMEOUT_SECONDS, PATIENCE_SECONDS, QUIET_SECONDS = 60.0, 20.0, 90.0
KEYS = ("signing.pem", "receipt.pem", "trusted-keys.json", "runner-keys.json")  # what a backup holds beside the dump


@dataclass
class Snapshot:
    """What the dump holds: the labels of `ended` and `open_` jobs, results, and cells answered or under way."""

    ended: set[str] = field(default_factory=set)
    open_: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    results: set[Result] = field(default_factory=set)
    answered: set[Cell] = field(default_factory=set)
    under_way: set[Cell] = field(default_factory=set)


@dataclass
class Books:
    """What the drill found. `broken` has a sentence for each promise that was not kept."""

    accepted: list[Submission]
    snapshot: Snapshot
    missing_jobs: int = 0
    missing_results: int = 0
    asked_again: int = 0
    paid_again: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def claim(self, kept: bool, sentence: str) -> None:
        """Note `sentence` as broken unless `kept`."""
        if not kept:
            self.broken.append(sentence)

    def count_named(self, jobs: set[str], results: set[Result], named: list[tuple[str, str]]) -> None:
        """Compare what was named as missing with what is missing of the kept `jobs` and `results`.

        Each document of a missing job names the job once.
        """
        gone, unstored = jobs - self.snapshot.ids, results - self.snapshot.results
        self.missing_jobs, self.missing_results = len(gone), len(unstored)
        told = Counter(job_id for job_id, _ in named)
        expected = Counter(gone) + Counter(job_id for job_id, _, _ in unstored)
        self.claim(told == expected, f"named as missing: {told.total()} documents; missing: {expected.total()}")

    def count_asked(self, before: Counter[Cell], since: Counter[Cell]) -> None:
        """Count by the provider's log what was asked before the crash, and since the restore."""
        self.asked_again = sum(since[cell] for cell in self.snapshot.answered)
        self.claim(not self.asked_again, f"asked again, though it had ended in the dump: {self.asked_again} calls")
        for cell, times in since.items():
            self.claim(times == 1, f"asked {times} times after the restore: {' '.join(cell[:3])}")
            if before[cell]:
                self.paid_again["under way" if cell in self.snapshot.under_way else "later"] += times

    @property
    def status(self) -> int:
        """Return the exit code."""
        return 1 if self.broken else 2 if self.proves_nothing else 0

    @property
    def proves_nothing(self) -> bool:
        """Return whether the drill met too little work: no ended job, no call under way, or nothing missing."""
        return not (self.snapshot.ended and self.snapshot.under_way and self.missing_jobs and self.missing_results)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the drill, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.drill.restore", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the jobs [1]")
    parser.add_argument("--rate", type=float, default=4.0, metavar="N", help="jobs a second [4]")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="beacon-restore-", ignore_cleanup_errors=True) as folder:
        home = make_home(Path(folder))
        client, keeper = crash(home, arguments.seed, arguments.rate)
        books = after(home, client.accepted(), keeper)
    print(*lines(books), sep="\n", flush=True)
    return books.status


def crash(home: Path, seed: int, rate: float) -> tuple[Client, Keeper]:
    """Run a stack under load, dump its database meanwhile, go on, and kill everything."""
    with running_deployment(home / "before", {}) as deployment:
        key = PrivateKey.load(deployment.local.signing_key)
        limits = {"timeout_seconds": JOB_TIMEOUT_SECONDS, "patience_seconds": PATIENCE_SECONDS}
        client = Client(deployment.api_url, key, seed, **limits)
        keeper = Keeper(client, deployment.local.api_url, home / "kept")
        tell(f"load of {rate:g} jobs a second for {BEFORE_SECONDS:g} s")
        client.start(rate)
        time.sleep(BEFORE_SECONDS)
        began = time.monotonic()
        dump(deployment.postgres.url, home / "dump")
        tell(f"dumped in {time.monotonic() - began:.1f} s; load for {AFTER_SECONDS:g} s more, then the crash")
        time.sleep(AFTER_SECONDS)
        client.abandon()
        keeper.stop()
        deployment.postgres.stop(immediate=True)
        deployment.valkey.kill()
        for _ in range(2):  # the second request kills
            deployment.local.stack.request_stop()
    return client, keeper


def after(home: Path, accepted: list[Submission], keeper: Keeper) -> Books:
    """Restore the dump into new servers, start this release there, wait until all has ended, and count."""
    books, began = Books(accepted, Snapshot()), time.monotonic()
    named: list[tuple[str, str]] = []
    (home / "after").mkdir()
    for name in KEYS:
        shutil.copy2(home / "before" / name, home / "after" / name)

    def fill(url: str) -> None:
        restore(url, home / "dump")
        books.snapshot = read_snapshot(url)
        named[:] = missing(url, keeper.folder)

    with running_deployment(home / "after", {}, fill=fill) as deployment:
        tell("restored and started; waiting until every job of the dump has ended")
        _until(lambda: not deployment.open_regions(), QUIET_SECONDS)
        books.seconds = time.monotonic() - began
        books.count_named(keeper.jobs, keeper.results, named)
        books.count_asked(requests(home / "before/calls.jsonl"), requests(deployment.calls))
        _ended(books, home / "before/calls.jsonl", deployment)
    return books


def read_snapshot(url: str) -> Snapshot:
    """Read the restored database, before any process of ours has changed it."""
    found = Snapshot()
    with connect(url, "drill") as conn:
        for job_id, label, ended in conn.execute(JOBS).fetchall():
            found.ids.add(job_id)
            (found.ended if ended else found.open_).add(label)
        found.results = {(job_id, region, model) for job_id, region, model in conn.execute(RESULTS).fetchall()}
        for *cell, under_way in conn.execute(CELLS).fetchall():
            (found.under_way if under_way else found.answered).add(tuple(cell))
    return found


def missing(url: str, folder: Path) -> list[tuple[str, str]]:
    """Return the (job id, sentence) pairs that `beacon verify --receipts` prints of what is missing.

    Raises RuntimeError if its exit code says something else."""
    command = [sys.executable, "-m", "runner_cli", "verify", "--json", "--database", url, "--receipts", str(folder)]
    done = subprocess.run([*command, "--only-kept"], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    (kept,) = json.loads(done.stdout)
    if done.returncode != (Exit.FAILED if kept["broken"] else Exit.OK):
        raise RuntimeError(f"exit {done.returncode}, though {kept['broken']} documents are missing")
    return [(job_id, sentence) for job_id, sentence in kept["examples"]]


def _ended(books: Books, log: Path, deployment: Deployment) -> None:
    """Check every job of the dump, by the API and both logs, then the database by `beacon verify`."""
    tally, calls = tallies.Tally(), tallies.good_calls(log)
    for name, cells in tallies.good_calls(deployment.calls).items():
        for cell, times in cells.items():
            calls[name][cell].extend(times)
    for submission in books.accepted:
        if submission.ids <= books.snapshot.ids:
            tallies.check(tally, submission, *tallies.read_job(deployment.local.api_url, submission), calls)
    books.ended = tally.terminal
    books.broken += [words for _, words in (*tally.lost, *tally.duplicated, *tally.wrong)]
    books.claim(tallies.verify(deployment, "--signatures"), "`beacon verify --signatures` found something broken")


def lines(books: Books) -> list[str]:
    """Return what is printed at the end. The last line is OK, BROKEN or INVALID."""
    held, jobs = books.snapshot, books.snapshot.ended | books.snapshot.open_
    told = [
        f"accepted before the crash: {len(books.accepted)} jobs",
        f"in the dump: {len(jobs)} jobs, {len(held.ended)} of them ended; {len(held.answered)} answers, "
        f"{len(held.under_way)} calls under way",
        f"missing after the restore, and named by the clients' files: {books.missing_jobs} jobs, "
        f"{books.missing_results} results",
        f"asked again of what had ended in the dump: {books.asked_again} calls",
        f"paid again: {books.paid_again['under way']} calls that were under way at the dump, "
        f"{books.paid_again['later']} that were made between dump and crash",
        f"ended: {books.ended} accepted jobs of the dump, {books.seconds:.1f} s after the restore began",
        *(f"BROKEN {words}" for words in books.broken),
    ]
    if not books.broken:
        told.append("INVALID the drill met too little work" if books.proves_nothing else "OK every promise was kept")
    return told


def tell(words: str) -> None:
    """Print what the drill does."""
    print(words, file=sys.stderr, flush=True)


def _until(look: Callable[[], bool], seconds: float) -> None:
    """Wait until `look` returns true, for `seconds` at most; what has not ended then is counted as lost."""
    deadline = time.monotonic() + seconds
    while not look() and time.monotonic() < deadline:
        time.sleep(0.2)


JOBS = """SELECT id, spec #>> '{metadata,created_by}', status IN ('completed', 'failed', 'cancelled') FROM jobs"""
RESULTS = """SELECT job_id, region, model_id FROM executions"""
CELLS = """
SELECT j.spec #>> '{metadata,created_by}', a.region, a.model_id, q.question ->> 'text', a.status = 'started'
  FROM answers a JOIN jobs j ON j.id = a.job_id
 CROSS JOIN LATERAL jsonb_array_elements(j.questions) AS q (question)
 WHERE q.question ->> 'id' = a.question_id"""

if __name__ == "__main__":
    sys.exit(main())
