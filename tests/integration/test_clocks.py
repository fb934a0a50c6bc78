"""Which clock each statement uses: a condition on an indexed time needs one that stands still while the statement runs.

`clock_timestamp()` moves, so PostgreSQL compares it with every row and can't look anything up in an index.
"""

import re
from typing import Any

import psycopg

from runner_core.queries import statements

# They find or remove rows by a stored time, look back from it, or change rows, where Citus takes no clock that moves:
# what they wait for was locked by an earlier statement of the transaction, or is skipped while it is locked.
STANDS_STILL = {
    "lists.ended",
    *("doctor.alive", "idempotency.expire", "idempotency.find", "metrics.jobs", "metrics.late", "metrics.regions"),
    *("portal.intervals", "processes.of_earlier_releases", "processes.other_regions_file"),
    *("reads.alive", "reads.overdue", "reads.processes", "reads.stuck"),
    *("retention.jobs_due", "retention.keys_due", "retention.nonces_due", "retention.outbox_due"),
    *("retention.embeddings_due", "retention.processes"),
    *("embeddings.renew", "sessions.end", "jobs.cancel", "jobs.reopen"),
    *("judgements.asked", "judgements.failed", "judgements.give_up", "judgements.take"),
    *("outbox.fail", "outbox.mark", "outbox.settle", "outbox.stage", "outbox.withdraw"),
    *("answers.start", "region_runs.beat", "region_runs.claim", "region_runs.release", "sweep.clear"),
}
# They write a time into a new row, tell the time or an age, or judge a lease, a deadline or a pause of rows that they
# have found by key and perhaps waited for: what the time was before the wait does not count.
MOVES = {
    *("analyses.clock", "jobs.submit", "metrics.outbox", "migrations.create", "outbox.claim"),
    *("reads.processes", "reads.queues", "sweep.clock", "sweep.doomed", "sweep.expired"),
}
COMPARED = re.compile(r"(\w+) (?:<|<=|>|>=) (?:date_trunc\('\w+', )?clock_timestamp\(\)")


def test_every_statement_uses_the_clock_that_it_needs() -> None:
    texts = {name: statement.sql.decode() for name, statement in statements().items()}
    assert {name for name, text in texts.items() if "statement_timestamp()" in text} == STANDS_STILL
    assert {name for name, text in texts.items() if "clock_timestamp()" in text} == MOVES
    assert not {name for name, text in texts.items() if re.search(r"\bnow\(\)|current_timestamp|localtime", text, re.I)}


def test_no_indexed_time_is_compared_with_a_clock_that_moves(conn: "psycopg.Connection[Any]") -> None:
    found = conn.execute(
        "SELECT DISTINCT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY (i.indkey) AND a.atttypid = 'timestamptz'::regtype"
        " WHERE i.indrelid::regclass::text NOT LIKE 'pg_%'"
    ).fetchall()
    indexed = {name for (name,) in found}
    assert {"created_at", "processed_at", "expires_at", "completed_at"} <= indexed
    compared = {
        (name, column)
        for name, statement in statements().items()
        for column in COMPARED.findall(statement.sql.decode())
    }
    assert {(name, column) for name, column in compared if column in indexed} == set()
