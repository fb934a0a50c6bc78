"""`python -m bench.ha`: cause each failure once under load, print what it took as a table, and check the books.

Exit status: 0 if nothing was lost or stored twice, 1 if something was, 2 if the drill could not run.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.chaos.client import Client
from bench.chaos.deployment import ANSWER_SECONDS, OPEN, set_rules, slow_answers
from bench.ha.books import count
from bench.ha.machines import Cluster, running_cluster, until
from bench.ha.programs import NAMES, NotReached
from runner_cli.child import free_port, spawn
from runner_cli.home import CHECKOUT, make_home
from runner_cli.local import Local, login_urls, running_stack, set_passwords
from runner_core.keys import PrivateKey
from runner_core.migrate import migrate
from tests.loopback_regions import write_regions

COUNTS = {"publisher": 2}
RATE = 3.0  # jobs a second
CALM_SECONDS = 6.0  # of load before each event, so that calls are in flight
PATIENCE_SECONDS = 180.0


@dataclass
class Drill:
    """The cluster, the stack that works on it, and its client."""

    cluster: Cluster
    local: Local
    client: Client

    def one(self, query: str) -> int:
        """Return a number from the primary. Raises OSError while there is none."""
        try:
            with psycopg.connect(self.cluster.database_url, autocommit=True, connect_timeout=2) as conn:
                row = conn.execute(query.encode()).fetchone()
        except psycopg.Error as error:
            raise OSError(str(error)) from None
        return int(row[0]) if row else 0

    def writes(self) -> bool:
        """Return whether the server behind HAProxy takes writes. Raises OSError while there is none."""
        return self.one("SELECT (NOT pg_is_in_recovery())::int") == 1


@dataclass(frozen=True)
class Result:
    """What one event took, in seconds from its SIGKILL."""

    event: str
    struck: float  # Unix time
    new_primary: float
    accepted: float  # until a job that was sent after the event was accepted
    finished: float  # until every job that was accepted before the event had ended
    whole: float  # from the machine's return until it was a replica again


def primarys_machine(drill: Drill) -> Result:
    """Kill every program of the primary's machine, and start the machine again afterwards."""
    name = drill.cluster.primary()
    return _measured(drill, "the primary's machine is killed", lambda: drill.cluster.kill(name), drill.writes, name)


def only_patroni(drill: Drill) -> Result:
    """Kill the primary's Patroni alone: its PostgreSQL goes on."""
    name = drill.cluster.primary()

    def is_another() -> bool:
        return drill.writes() and drill.cluster.primary() not in ("", name)

    what = "only the primary's Patroni is killed, its PostgreSQL goes on"
    return _measured(drill, what, lambda: drill.cluster.kill(name, "patroni"), is_another, name)


def redis_master(drill: Drill) -> Result:
    """Kill the Redis that is the master."""
    name, run_id = drill.cluster.redis_master_machine(), drill.cluster.redis_master()

    def is_another() -> bool:
        return drill.cluster.redis_master() not in ("", run_id)

    return _measured(drill, "Redis' master is killed", lambda: drill.cluster.kill(name, "redis"), is_another, name)


EVENTS = {"machine": primarys_machine, "patroni": only_patroni, "redis": redis_master}


def _measured(
    drill: Drill, event: str, strike: Callable[[], None], is_replaced: Callable[[], bool], name: str
) -> Result:
    time.sleep(CALM_SECONDS)
    before = [submission.key for submission in drill.client.accepted()]
    strike()
    struck = time.time()
    replaced = until(is_replaced, f"no new primary: {event}")

    def later() -> list[float]:
        return [s.accepted for s in drill.client.submissions if s.began > struck and s.accepted is not None]

    until(lambda: bool(later()), f"no job was accepted: {event}")
    names = ", ".join(f"'{key}'" for key in before)
    query = f"""SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')
                AND spec #>> '{{metadata,created_by}}' IN ({names})"""  # noqa: S608 - the client's own names
    finished = until(lambda: drill.one(query) == 0, f"jobs stay open: {event}", PATIENCE_SECONDS)
    returned = time.time()
    drill.cluster.start_machine(name)
    until(lambda: drill.cluster.is_whole() and drill.cluster.redis_is_whole(), f"the cluster is not whole: {event}")
    whole = time.time() - returned
    return Result(event, struck, replaced - struck, min(later()) - struck, finished - struck, whole)


def table(results: Sequence[Result], repeated: Sequence[float]) -> Iterator[str]:
    """Yield the lines of the table. `repeated`: the Unix times of calls that were paid for again, each counted with the
    event before it."""
    yield "| event | new primary | a job accepted | earlier jobs ended | a replica again | calls paid twice |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    ends = [result.struck for result in results[1:]] + [float("inf")]
    for result, end in zip(results, ends, strict=True):
        seconds = (result.new_primary, result.accepted, result.finished, result.whole)
        again = sum(result.struck <= at < end for at in repeated)
        yield f"| {result.event} | {' | '.join(f'{value:.1f} s' for value in seconds)} | {again} |"


@contextlib.contextmanager
def _drill(cluster: Cluster, home: Path, calls: Path) -> Iterator[Drill]:
    """Start the Procfile's processes behind HAProxy, a provider and a client."""
    make_home(home)
    migrate(cluster.database_url)
    set_passwords(home, cluster.database_url)
    port = free_port()
    log = ["--log", str(calls)]
    with contextlib.ExitStack() as stop:
        provider = spawn(
            [sys.executable, "-m", "tests.provider_server", "--port", str(port), *log],
            death_signal=signal.SIGTERM,
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
        )
        stop.callback(provider.kill)
        set_rules(f"http://127.0.0.1:{port}", slow_answers(ANSWER_SECONDS))
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "BEACON_"))},
            "DATABASE_URL": cluster.database_url,
            "REDIS_URL": cluster.redis_url,
            **login_urls(home, cluster.database_url),
            "REGIONS_FILE": str(write_regions(home / "regions.toml", f"http://127.0.0.1:{port}")),
            "STOP_GRACE_SECONDS": "5",
        }
        local = stop.enter_context(running_stack(home, env, COUNTS, on_line=lambda *_: None))
        key = PrivateKey.load(local.signing_key)
        client = Client(local.api_url, key, 1, timeout_seconds=PATIENCE_SECONDS, patience_seconds=PATIENCE_SECONDS)
        stop.callback(client.abandon)
        yield Drill(cluster, local, client)


def main(argv: list[str] | None = None) -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser("python -m bench.ha", description="Kill machines of ops/ha under load.")
    parser.add_argument("--only", action="append", choices=sorted(EVENTS), help="only this event; repeat it for more")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="beacon-ha-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)
        calls = home / "calls.jsonl"
        try:
            with running_cluster(home) as cluster, _drill(cluster, home / "stack", calls) as drill:
                print(f"{len(NAMES)} machines are whole, {RATE:g} jobs a second", flush=True)
                drill.client.start(RATE)
                results = [EVENTS[name](drill) for name in arguments.only or EVENTS]
                drill.client.finish()
                until(lambda: drill.one(OPEN) == 0, "jobs stay open", PATIENCE_SECONDS)
                url, env = cluster.database_url, drill.local.env
                tally = count(drill.local.api_url, url, env, calls, drill.client.submissions)
        except NotReached as error:
            print(f"the drill could not go on: {error}", file=sys.stderr)
            return 2
    print("\n".join(table(results, tally.repeated)))
    print(
        f"accepted {tally.accepted}, ended {tally.terminal}, lost {len(tally.lost)}, stored twice "
        f"{len(tally.duplicated)}, wrong {len(tally.wrong)}, calls paid twice {len(tally.repeated)}, "
        f"never answered {tally.unanswered_clients}, beacon verify {'holds' if tally.verified else 'FAILS'}"
    )
    for _, complaint in (*tally.lost, *tally.duplicated, *tally.wrong):
        print(complaint)
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
