"""The part of docs/scaling.md about cells: text that no run of the benchmarks writes anew."""
# ruff: noqa: E501 - paragraphs of the page, which wrap where they are read

from bench.report import table

CITUS = [
    ["of 6,326 executions of 62 statements", "as the SQL was then", "with the changes"],
    ["one shard, one task", "51.2 %", "62.3 %"],
    [
        "one shard, the parts of a statement one after the other",
        "0.1 %",
        "12.5 %: a submission takes 8 steps, a claim 7",
    ],
    ["a function, on the coordinator", "-", "11.1 %"],
    ["no table", "14.1 %", "14.1 %"],
    ["refused", "34.6 %", "0"],
]

NOT_NOW = [
    ["a read replica (`READ_DATABASE_URL`)", "reads were 14 % of the executions and 0.8 % of the server's time in a recorded run; LISTEN fails on a standby, and a job that was just accepted may be unknown there"],
    ["partitioned tables", "the keys hold no time, so dropping a month needs a day in every key and another table that keeps ids unique; with a million jobs an execution costs little more than on empty tables"],
    ["a gateway for workers (HTTPS in place of PostgreSQL and Redis)", "a second road for claim and record with faults of its own; worth it where workers run outside the operator's network, not for speed"],
    ["Citus with rows sharded by job", "26 of 62 statements were refused, 60 % of what is executed: batches over several jobs are what makes the queue fast, and what it forbids; a row's id would no longer be unique"],
    ["CockroachDB", "NO KEY UPDATE is FOR UPDATE there, advisory locks are not to be relied on, LISTEN is missing, and two changes of one table in a statement are refused: a port (read in its documents, not run)"],
    ["Redis Cluster", "queues hold ids, a few thousand a second, which need no shards; push and take are atomic over several keys, and a process refuses a Cluster at its start"],
]  # fmt: skip


# pg_temp comes last in the functions' search_path too, as in the sessions of `beacon migrate`.
BY_HAND = """```sh
CELL='postgresql://owner:...@coordinator/beacon?options=-csearch_path%3Dcell2'
psql -v ON_ERROR_STOP=1 "$CELL" -c 'CREATE SCHEMA IF NOT EXISTS cell2' -c "CREATE TABLE IF NOT EXISTS
  schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
for file in sql/migrations/*.sql; do
  name=$(basename "$file" .sql) sum=$(sha256sum < "$file" | cut -d ' ' -f 1) whole=-1
  [ -z "$(psql -Atc "SELECT 1 FROM schema_migrations WHERE version = ${name%%_*}" "$CELL")" ] || continue
  if grep -q '^-- outside a transaction' "$file"; then whole=; fi
  psql -v ON_ERROR_STOP=1 $whole -f "$file" -c "INSERT INTO schema_migrations (version, name, checksum)
    VALUES (${name%%_*}, '${name#*_}', '$sum')" "$CELL%2Cpg_temp" || break
done
beacon migrate --database "$CELL"
```"""


def parts() -> list[str]:
    """Return the paragraphs and tables, each a part of the page."""
    return [
        "## Cells",
        "A **cell** is one installation in a schema of its own: `?options=-csearch_path%3Dcell2` at the end of each address of the "
        "database puts tables, logins, locks, channels and Redis keys under that name "
        "([configuration.md](configuration.md#postgresql-and-redis)). Cells may share a PostgreSQL server, a database and a Redis, and see nothing of each "
        "other; a cell moves to another server by dump and restore ([the commands](rollout.md#a-backup-and-its-restore)). What clients need to know is which cell is theirs: ids of jobs, idempotency keys and nonces are unique "
        "in a cell alone, so a proxy in front must choose by something that each request carries, such as the client's host name or token. "
        "Such a proxy is not part of this. Each cell has its own API, publisher, analyst and workers, and what cells in one server share is its disk and its "
        "cores. Two cells in one database and on one Redis are a test here; their throughput was not measured.",
        "### Cells on a Citus cluster",
        "Citus shards by schema: every table of a schema is on one node, with all its keys and foreign keys, and schemas are spread over the nodes. So each "
        "cell stays as large as one node serves, and a cluster serves many cells under one address. This was run once, on Citus 13.2.2 with PostgreSQL 15.20 "
        "(a coordinator and two workers on loopback, two busy cores), with release 0.1.0 and changes to its SQL: 61 of 61 jobs ended, twice, none "
        "lost, none paid twice, and `beacon verify` found nothing. The numbers below are of that run.",
        "\n".join(table(CITUS[0], CITUS[1:])),
        "What it costs: at 4 jobs a second a job took 2.12 s in the median (p95 2.94 s), on plain PostgreSQL beside it 1.04 s (1.10 s), of which the provider "
        "has up to 1.0 s; the steps of a submission and a claim cost the rest. A small cell moved in .15 s with `citus_schema_move(..., 'block_writes')`.",
        "The SQL has kept to these rules since (tests/unit/test_distributed_sql.py): the time of the statement where rows are "
        "changed, and not within CASE or COALESCE, no OFFSET 0, no table beside a function, no part of a statement that reads what an earlier part wrote. **Nothing of it runs in CI**, where "
        "there is no Citus, and the present SQL has not been run on one. "
        "Run the acceptance tests on your cluster before you rely on it (below).",
        "How an operator sets it up:\n\n"
        "1. On the coordinator, for the database: `ALTER DATABASE beacon SET citus.enable_schema_based_sharding = on` and "
        "`ALTER DATABASE beacon SET citus.enable_unsafe_triggers = on`. On the nodes `jit = off` in postgresql.conf, because the settings of a session stay "
        "on the coordinator: a read took over 5 s without.\n"
        "2. One login a cell, the owner of its schema: leave out `DATABASE_URL_API` and its like, so that all processes use `DATABASE_URL`. With the four logins "
        "Citus refuses the functions that run with their owner's rights (25001, placements that another user has modified). The rights that keep an API from writing "
        "results are the price; on plain PostgreSQL they stay.\n"
        "3. For each cell the commands below, since `beacon migrate` sends each file of migrations as one string, which Citus refused in that run "
        "(`cannot insert multiple commands into a prepared statement`); psql sends one statement after the other. Citus chooses a node for the schema.\n"
        "4. The sessions of the publisher, the workers and the analyst set `plan_cache_mode = force_generic_plan`, for which Citus could make no plan in that run. "
        "It is not a setting: an installation on Citus has to change the code so that they use `auto` (`plan_cache_mode` in runner_core/connections.py).\n"
        "5. Then the cell's processes, as anywhere.",
        BY_HAND,
        "`beacon migrate` finds every migration in `schema_migrations` afterwards, gives the rights and tests that a process can work. The same commands "
        "bring a later release's migrations. A test runs these commands on plain "
        "PostgreSQL, where they make the same schema; on Citus they have not been run.",
        "`CITUS_TEST_URL=postgresql://owner@coordinator/beacon ./beacon test tests/acceptance` gives each test a schema of its own in that database, and one login, in place of a database "
        "made from a template, which Citus refuses to copy. Any PostgreSQL will do as well. The tests migrate as `beacon migrate` does, so on Citus they need the code changed first, to send "
        "one statement after the other. Not tried on Citus: two loaded cells at once, the loss of a node, a move under load, "
        "throughput.",
        "### Not now",
        "\n".join(table(["what", "why not"], NOT_NOW)),
    ]
