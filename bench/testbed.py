"""The servers that benchmarks run on: a new PostgreSQL with fsync, and a new Valkey with an append-only file."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql
from psycopg.types.json import Jsonb

from bench import statements
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.home import CHECKOUT, make_home, make_keys
from runner_core.keys import PrivateKey
from runner_core.migrate import migrate
from runner_core.receipts import output_sha256, sign_receipt

SPEC = (
    '{"version":"v1","benchmark":{"name":"bench","container":{"image":"none"},"input":{"hash":"sha256:placeholder"}},'
    '"constraints":{"regions":["US"]},"questions":["geography_basic"],"models":["m1"]}'
)
PLAN = '{"US": ["m1"]}'
LOAD_ROWS = 50_000  # finished jobs a transaction


@dataclass
class Testbed:
    """The servers of a benchmark, and the environment variables of the processes on them."""

    home: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    conn: psycopg.Connection[Any]
    redis: redis.Redis
    env: dict[str, str]
    jobs: int = 0  # the number of jobs that this run has made, so that every id is new
    logs: int = 0
    old: int = 0
    delays: dict[float, Path] = field(default_factory=dict)

    @property
    def server_pid(self) -> int:
        """Return the pid of PostgreSQL's main process."""
        return self.postgres.pid or 0

    @contextlib.contextmanager
    def beside(self, name: str) -> Iterator["Testbed"]:
        """Yield an empty database of that name on the same servers, to be measured in turn with this one."""
        self.conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))  # "full" is a reserved word
        url = self.postgres.url.rpartition("/")[0] + f"/{name}"
        migrate(url)
        with psycopg.connect(url, autocommit=True) as conn:
            env = {**self.env, "DATABASE_URL": url}
            yield replace(self, conn=conn, env=env, logs=self.logs + 1000, old=0)

    def log(self, name: str) -> Path:
        """Return the path of a new file for a process's output."""
        self.logs += 1
        return self.home / f"{self.logs:04d}-{name}.log"

    def run(self, name: str, **values: Any) -> None:
        """Run the statements of one file, each committed by itself."""
        for statement in statements.for_psycopg(name).split(b";\n"):
            self.conn.execute(statement, values or None)

    def one(self, query: str) -> Any:
        """Return the single value of a query."""
        row = self.conn.execute(query.encode()).fetchone()
        return row[0] if row else None

    def value(self, statement: bytes) -> int:
        """Return the first value of a statement's result."""
        row = self.conn.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def empty(self) -> None:
        """Delete every job and every message."""
        self.run("empty")
        self.redis.flushdb()
        self.old = 0

    def submit(self, count: int, *, plan: str = PLAN, questions: int = 1, staged: bool) -> list[str]:
        """Insert `count` accepted jobs, with their outbox rows if `staged`; return their ids."""
        first, self.jobs = self.jobs + 1, self.jobs + count
        ids = [f"bench-{n}" for n in range(first, self.jobs + 1)]
        where = {"prefix": "bench-", "first": first, "last": self.jobs}
        asked = json.dumps([{"id": f"q{n}", "text": "What is the capital of France?"} for n in range(1, questions + 1)])
        self.run("submit", **where, plan=plan, questions=asked, key="benchmark", spec=SPEC)
        if staged:
            self.run("stage", **where)
        self.settle()
        return ids

    def settle(self) -> None:
        """Make the servers do now the background work that would otherwise disturb a measurement."""
        for table in ("jobs", "outbox", "region_runs", "executions", "answers", "job_events"):
            self.conn.execute(f"VACUUM ANALYZE {table}".encode())
        self.conn.execute("CHECKPOINT")

    def since(self) -> int:
        """Return the largest id of an execution."""
        return int(self.one("SELECT coalesce(max(id), 0) FROM executions"))

    def load(self, count: int) -> None:
        """Insert finished jobs, with all their rows, until there are `count`."""
        key = PrivateKey.generate()
        facts = {"job_id": "old", "region": "US", "model_id": "m1", "status": "completed", "attempt": 1}
        text = "Simulated answer from US. There are several views, each with reasonable arguments."
        usage = '{"prompt_tokens": 8, "completion_tokens": 21, "total_tokens": 29}'
        answer = (
            f'{{"response": "{text}", "refused": false, "refusal_source": null, "finish_reason": "stop", '
            f'"usage": {usage}, "simulated": true}}'
        )
        values = {
            "key": key.public_key,
            "spec": SPEC,
            "answer": answer,
            "output": f'{{"answers": [{answer}], "refused": 0, "simulated": true, "response": "{text}"}}',
            "parameters": '{"temperature": 0.1, "max_tokens": 500, "system_prompt": "You answer for the US.", '
            '"upstream_model": "m1", "regions_sha256": "' + "0" * 64 + '"}',
            "receipt": Jsonb(sign_receipt({**facts, "output_sha256": output_sha256({"response": text})}, key)),
        }
        # Skip the checks of foreign keys, which are right by construction. Nothing else is skipped.
        self.conn.execute("SET session_replication_role = replica")
        self.conn.execute("SET synchronous_commit = off")
        while self.old < count:
            first, self.old = self.old + 1, min(count, self.old + LOAD_ROWS)
            self.run("finished", first=first, last=self.old, **values)
        self.conn.execute("RESET ALL")
        self.settle()

    def regions(self, seconds: float = 0.0, models: int = 1, width: int = 64, regions: int = 1) -> Path:
        """Write a regions file whose provider answers after `seconds`; return its path."""
        path = self.home / f"regions-{seconds:g}-{models}-{width}-{regions}.toml"
        names = ["US", "EU", "ASIA", "SA", "AF", "AU", "ME", "CA"][:regions]
        known = ", ".join(f'm{n} = "m{n}"' for n in range(1, models + 1))
        parts = ['default_model = "m1"']
        parts += [f'[regions.{name}]\ndisplay = "{name}"\nsystem_prompt = "You answer for {name}."' for name in names]
        parts += [
            f'[[providers]]\nid = "sandbox-{name.lower()}"\nregion = "{name}"\nkind = "sandbox"\n'
            f"max_concurrency = {width}\nmodels = {{ {known} }}\noptions = {{ delay_seconds = {seconds:g} }}"
            for name in names
        ]
        path.write_text("\n\n".join(parts) + "\n")
        return path


@contextlib.contextmanager
def running_testbed() -> Iterator[Testbed]:
    """Start both servers in a temporary folder; stop them and delete the folder at the end."""
    with contextlib.ExitStack() as stop:
        home = Path(stop.enter_context(tempfile.TemporaryDirectory(prefix="beacon-bench-", ignore_cleanup_errors=True)))
        make_home(home)
        postgres, valkey = EmbeddedPostgres(home), EmbeddedValkey(home)
        stop.callback(postgres.stop)
        url = postgres.start()
        stop.callback(valkey.stop)
        redis_url = valkey.start()
        migrate(url)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_STATE_HOME")
        }
        env = {**inherited, "DATABASE_URL": url, "REDIS_URL": redis_url, "PYTHONPATH": str(CHECKOUT)}
        env |= {"ALLOW_SANDBOX": "1", **make_keys(home, env)}
        conn = stop.enter_context(psycopg.connect(url, autocommit=True))
        client = stop.enter_context(redis.Redis.from_url(redis_url))
        yield Testbed(home, postgres, valkey, conn, client, env)
