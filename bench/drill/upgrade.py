"""`make upgrade-proof`: processes of an earlier release and of this one, side by side on one schema, under load.

The order is docs/rollout.md's: migrate, workers, publishers, API. The books are the client's list of 202s, the
provider's own log, and `beacon verify`. Exit 0: nothing was lost or doubled. Exit 1: something was. Exit 2: one side
did no work, so the drill proves nothing. A release that this checkout's history does not have is skipped with one line;
if it was named, the exit code is 2.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

from bench.chaos import tally as tallies
from bench.chaos.client import NANOSECONDS, Client
from bench.chaos.deployment import ANSWER_SECONDS, set_rules, slow_answers
from bench.drill.release import NotInHistory, Release, clean_environment, to_upgrade_from
from bench.drill.side import WORKERS, Side
from runner_cli.child import free_port, spawn
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.home import CHECKOUT, make_home, make_keys, secret
from runner_cli.local import login_urls
from runner_core.cells import cell_of
from runner_core.keys import PrivateKey
from runner_core.secret_files import PROCESSES
from runner_core.session import connect
from runner_core.signing import sign
from tests.http_requests import request
from tests.loopback_regions import REGIONS, write_regions

OLD_SECONDS, BOTH_SECONDS, NEW_SECONDS = 6.0, 15.0, 6.0  # load on the old release, on both, on this one
JOB_TIMEOUT_SECONDS, PATIENCE_SECONDS, QUIET_SECONDS = 60.0, 60.0, 60.0
WAITING = "upgrade_in_progress"


@dataclass
class Proof:
    """What was found. `claims` and `accepted` are numbers of (the old side, this side)."""

    release: Release
    tally: tallies.Tally = field(default_factory=tallies.Tally)
    claims: tuple[int, int] = (0, 0)
    accepted: tuple[int, int] = (0, 0)
    retried: int = 0  # requests of clients beyond the first
    broken: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Return the exit code."""
        return 1 if self.broken else 0 if all((*self.claims, *self.accepted)) else 2

    def lines(self) -> list[str]:
        """Return what is printed at the end. The last line is OK, BROKEN or INVALID."""
        found, version = self.tally, self.release.version
        last = {0: "OK nothing was lost or doubled", 2: "INVALID one side did no work"}
        return [
            f"from {version}: accepted {sum(self.accepted)} jobs ({self.accepted[0]} by the API of {version}, "
            f"{self.accepted[1]} by this one's); clients repeated {self.retried} requests",
            f"claims: {self.claims[0]} by workers of {version}, {self.claims[1]} by this release's",
            f"ended {found.terminal}, lost {len(found.lost)}, doubled {len(found.duplicated)}, "
            f"paid twice {len(found.repeated)} of {found.calls} calls",
            *(f"BROKEN {words}" for words in self.broken),
            *([last[self.status]] if self.status in last else []),
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Prove the upgrade from each release, print what was found, and return the worst exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.drill.upgrade", description=__doc__)
    known = {release.version: release for release in to_upgrade_from()}
    parser.add_argument("--release", choices=known, help="only from this one of ops/releases.toml's upgrade_from")
    parser.add_argument("--seed", type=int, default=1, help="decides the jobs [1]")
    parser.add_argument("--rate", type=float, default=3.0, metavar="N", help="jobs a second [3]")
    arguments = parser.parse_args(argv)
    statuses = []
    for release in [known[arguments.release]] if arguments.release else known.values():
        try:
            release.install()
        except NotInHistory as error:
            print(f"SKIPPED {error}", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="beacon-upgrade-", ignore_cleanup_errors=True) as folder:
            proof = prove(release, make_home(Path(folder)), arguments.seed, arguments.rate)
        print(*proof.lines(), sep="\n", flush=True)
        statuses.append(proof.status)
    return max(statuses, key=(0, 2, 1).index, default=2 if arguments.release else 0)


def prove(release: Release, home: Path, seed: int, rate: float) -> Proof:
    """Upgrade a loaded stack from `release` to this tree, one process after the other, and count."""
    proof = Proof(release)
    with _servers(home) as it, contextlib.ExitStack() as stop:
        old, new = (Side(one, it.env, home) for one in (release, None))
        stop.callback(new.stop)
        stop.callback(old.stop)
        old.migrate()
        _set_passwords(home, it.url)
        old.start("api", "publisher", *WORKERS)
        key = PrivateKey.load(home / "signing.pem")
        limits = {"timeout_seconds": JOB_TIMEOUT_SECONDS, "patience_seconds": PATIENCE_SECONDS}
        client = Client(old.api_url, key, seed, **limits)
        stop.callback(client.abandon)
        client.start(rate)
        _load(f"all of {release.version}", OLD_SECONDS)
        new.migrate()
        _set_passwords(home, it.url)
        new.start("analyst", *WORKERS, "publisher", "api")
        client.urls = [old.api_url, new.api_url]
        asking = _with_parameters(key)
        proof.broken += _answered(_post(new, asking), 503, WAITING)
        _load("both, side by side", BOTH_SECONDS)
        for kinds in (WORKERS, ["publisher"]):
            proof.broken += [f"a process of {release.version} ended by itself: {kind}" for kind in old.ended()]
            old.stop(*kinds)
        client.urls = [new.api_url]
        time.sleep(1.0)  # for the requests that are under way
        old.stop()
        _load("this release alone", NEW_SECONDS)
        proof.broken += _accepted(new, asking)
        client.finish()
        _until_quiet(it.url)
        proof.broken += [f"a process of this release ended by itself: {kind}" for kind in new.ended()]
        _count(proof, client, it, old, new)
    return proof


def _count(proof: Proof, client: Client, it: SimpleNamespace, old: Side, new: Side) -> None:
    """Compare the promises with the facts: every job by the API, the provider's log and `beacon verify`."""
    tally, calls = proof.tally, tallies.good_calls(it.calls)
    accepted = client.accepted()
    proof.retried = sum(submission.tries - 1 for submission in client.submissions)
    proof.accepted = (client.answered[old.api_url], client.answered[new.api_url])
    tally.calls = sum(len(times) for cells in calls.values() for times in cells.values())
    for submission in accepted:
        tallies.check(tally, submission, *tallies.read_job(new.api_url, submission), calls)
    unanswered = [s.key for s in client.submissions if s.accepted is None]
    proof.broken += [f"{name}: no answer, or refused" for name in unanswered]
    proof.broken += [words for _, words in (*tally.lost, *tally.duplicated, *tally.wrong)]
    with psycopg.connect(it.url) as conn:
        workers = [worker for (worker,) in conn.execute(CLAIMS).fetchall()]
        jobs = conn.execute("SELECT spec #>> '{metadata,created_by}', count(*) FROM jobs GROUP BY 1").fetchall()
    pids = [int(worker.rsplit("-", 2)[1]) for worker in workers]
    proof.claims = (sum(pid in old.pids for pid in pids), sum(pid in new.pids for pid in pids))
    proof.broken += [f"{label}: {number} jobs of one submission" for label, number in jobs if number > 1]
    command = [sys.executable, "-m", "runner_cli", "verify", "--signatures"]
    verified = subprocess.run(command, env=it.env, cwd=CHECKOUT, stdout=sys.stderr, check=False)
    if verified.returncode:
        proof.broken.append("`beacon verify --signatures` found something broken")


@contextlib.contextmanager
def _servers(home: Path) -> Iterator[SimpleNamespace]:
    """Start the servers and a provider; yield `url` (the owner's), `env` for every process, and the log `calls`."""
    with contextlib.ExitStack() as stop:
        postgres, valkey = EmbeddedPostgres(home), EmbeddedValkey(home)
        stop.callback(postgres.stop)
        url = postgres.start()
        stop.callback(valkey.stop)
        redis_url, calls, port = valkey.start(), home / "calls.jsonl", free_port()
        provider = spawn(
            [sys.executable, "-m", "tests.provider_server", "--port", str(port), "--log", str(calls)],
            death_signal=signal.SIGTERM,
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
        )
        stop.callback(provider.kill)
        set_rules(f"http://127.0.0.1:{port}", slow_answers(ANSWER_SECONDS))
        env = {
            **clean_environment(),
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            **login_urls(home, url),
            "REGIONS_FILE": str(write_regions(home / "regions.toml", f"http://127.0.0.1:{port}")),
            "PYTHONUNBUFFERED": "1",
        }
        yield SimpleNamespace(url=url, calls=calls, env=env | make_keys(home, env))


def _set_passwords(home: Path, url: str) -> None:
    """Give the logins that the database has by now the passwords of `login_urls`."""
    with connect(url, "logins") as conn:
        for (role,) in conn.execute("SELECT rolname FROM pg_roles").fetchall():
            if role in map(cell_of(url).login, PROCESSES):
                conn.pgconn.change_password(role.encode(), secret(home, f"{role}.password").encode())


def _with_parameters(key: PrivateKey) -> bytes:
    """Return a signed job with `parameters`, which workers before 0.3.0 would ignore."""
    spec = {
        "id": "with-parameters",
        "version": "v1",
        "benchmark": {"name": "upgrade", "container": {"image": "none"}, "input": {"hash": "sha256:placeholder"}},
        "constraints": {"regions": list(REGIONS), "timeout": int(JOB_TIMEOUT_SECONDS * NANOSECONDS)},
        "questions": ["with-parameters question?"],
        "models": ["m1"],
        "parameters": {"temperature": 0.5},
        "metadata": {"timestamp": datetime.now(UTC).isoformat(), "nonce": "with-parameters"},
    }
    return json.dumps(sign(spec, key)).encode()


def _post(side: Side, raw: bytes) -> tuple[int, dict[str, Any]]:
    return request("POST", f"{side.api_url}/api/v1/jobs", raw, {"Content-Type": "application/json"})


def _answered(answer: tuple[int, dict[str, Any]], status: int, code: str) -> list[str]:
    found = answer[0], answer[1].get("error_code")
    return [] if found == (status, code) else [f"a job with parameters was answered with {found}, not {status} {code}"]


def _accepted(side: Side, raw: bytes) -> list[str]:
    """Repeat a request until the API accepts it. The last heartbeats of the old workers count for 20 s."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := _post(side, raw))[1].get("error_code") == WAITING and time.monotonic() < deadline:
        time.sleep(0.5)
    return [] if answer[0] == 202 else [f"a job with parameters was answered with {answer} after the upgrade"]


def _load(told: str, seconds: float) -> None:
    print(f"{seconds:g} s of load: {told}", file=sys.stderr, flush=True)
    time.sleep(seconds)


def _until_quiet(url: str) -> None:
    """Wait until no job is open; what is open after a minute is counted as lost."""
    deadline = time.monotonic() + QUIET_SECONDS
    with psycopg.connect(url, autocommit=True) as conn:
        while conn.execute(OPEN).fetchone() and time.monotonic() < deadline:
            time.sleep(0.2)


CLAIMS = "SELECT detail ->> 'worker' FROM job_events WHERE type = 'region_claimed'"
OPEN = "SELECT FROM jobs WHERE status IN ('queued', 'running') LIMIT 1"

if __name__ == "__main__":
    sys.exit(main())
