"""The SQL keeps to what Citus can do with a schema on one node, so that a cell may be a schema of a Citus cluster.

Citus is not here: these rules come from a run on Citus 13.2 (docs/scaling.md). It carries a statement whose CTEs write
out step by step, each step after the one before, and sends each step to the node of the schema.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_core.queries import statements
from runner_core.sql_files import sql_files

SCHEMA = Path(__file__).parent.parent.parent / "sql/schema.sql"
CTE = re.compile(r"(\w+)(?: \([\w, ]+\))? AS (?:NOT )?(?:MATERIALIZED )?\(")
WRITTEN = re.compile(r"\bINSERT INTO (\w+)|(?<!FOR )(?<!KEY )(?<!DO )\bUPDATE (\w+)|\bDELETE FROM (\w+)")
READ = re.compile(r"(?<!DELETE )\b(?:FROM|JOIN|USING) (?:ONLY )?(\w+)\b(?! ?\()|, (\w+) \w+(?= (?:WHERE|JOIN|,))")
CHANGES = re.compile(r"(?<!FOR )(?<!KEY )\bUPDATE (?:\w+ (?:AS )?(?:\w+ )?)?SET\b|\bDELETE FROM\b|\bDO UPDATE\b")
HIDDEN = re.compile(r"\bCOALESCE\((?:[^()]|\([^()]*\))*?_timestamp\(\)|\bCASE\b(?:(?!\bEND\b)[^;])*_timestamp\(\)")
OWN_FUNCTIONS = re.compile(r"\b(?:FROM|JOIN|,) (?:LATERAL )?(?:close|end|cancel|reopen|label|fill)_\w+\(")


def texts() -> Iterator[tuple[str, str]]:
    """Every statement in one line: of the queries by its name, of functions and views by the name of these."""
    for name, statement in statements().items():
        yield name, " ".join(statement.sql.decode().partition("\n")[2].split())
    for file in sql_files().joinpath("verify").iterdir():
        yield file.name, " ".join(re.sub(r"--.*", "", file.read_text("utf-8")).split())
    schema = re.sub(r"--.*", "", SCHEMA.read_text("utf-8")).replace("public.", "")
    for kind, name, body in re.findall(r"\nCREATE (FUNCTION|VIEW) (\w+)(.*?;)\n\n\n", schema, re.DOTALL):
        for part in body.split(";") if kind == "FUNCTION" else [body]:
            yield name, " ".join(part.split())


TEXTS = list(texts())


def parts(text: str) -> list[str]:
    """The CTEs of a statement in their order, and what comes after them."""
    found, at = [], 0
    while begun := CTE.search(text, at):
        depth, end = 1, begun.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        found.append(text[begun.end() : end - 1])
        at = end
        if not text[at:].lstrip().startswith(","):
            break
    return [*found, text[at:]]


def uses_a_moving_clock(text: str) -> bool:
    """Citus refuses a VOLATILE function where rows are changed, since each copy of a row would get another value."""
    return bool(CHANGES.search(text)) and "clock_timestamp()" in text


def hides_the_time(text: str) -> bool:
    """Citus refuses a function that is not IMMUTABLE within CASE or COALESCE where rows are changed."""
    return bool(CHANGES.search(text) and HIDDEN.search(text))


def has_offset_0(text: str) -> bool:
    """A fence for PostgreSQL's planner that Citus refuses: a MATERIALIZED CTE is one too."""
    return "OFFSET 0" in text.upper()


def has_a_table_beside_a_function(text: str) -> bool:
    """Citus would send the function to the node, where it may not ask for a table."""
    return any(
        OWN_FUNCTIONS.search(part) and any(name for pair in READ.findall(part) for name in pair) for part in parts(text)
    )


def reads_what_an_earlier_part_wrote(text: str) -> bool:
    """PostgreSQL shows every part of a statement the rows as they were before, Citus those that were just written."""
    written: set[str] = set()
    for part in parts(text):
        if written & {name for pair in READ.findall(part) for name in pair}:
            return True
        written |= {name for three in WRITTEN.findall(part) for name in three if name}
    return False


RULES = {
    "clock": uses_a_moving_clock,
    "hidden": hides_the_time,
    "offset": has_offset_0,
    "beside": has_a_table_beside_a_function,
    "order": reads_what_an_earlier_part_wrote,
}


@pytest.mark.parametrize("rule", RULES)
def test_every_statement_function_and_view_keeps_to_the_rule(rule: str) -> None:
    assert {name for name, text in TEXTS if RULES[rule](text)} == set()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("clock", "UPDATE jobs SET updated_at = clock_timestamp() WHERE id = 'a'"),
        ("clock", "UPDATE jobs AS j SET version = 1 WHERE j.deadline < clock_timestamp()"),
        ("clock", "INSERT INTO processes (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()"),
        ("clock", "DELETE FROM jobs WHERE completed_at < clock_timestamp()"),
        ("hidden", "UPDATE jobs SET started_at = COALESCE(started_at, statement_timestamp())"),
        ("hidden", "UPDATE jobs SET completed_at = CASE WHEN status = 'failed' THEN statement_timestamp() END"),
        ("offset", "SELECT 1 FROM a CROSS JOIN LATERAL (SELECT 1 FROM b WHERE b.id = a.id OFFSET 0) b"),
        (
            "beside",
            "SELECT closed_job, (SELECT j.traceparent FROM jobs j WHERE j.id = closed_job) FROM close_jobs('{}')",
        ),
        ("order", "WITH a AS (UPDATE jobs SET version = 2 RETURNING id) SELECT j.id FROM a JOIN jobs j ON j.id = a.id"),
    ],
)
def test_the_rule_finds_what_it_forbids(rule: str, text: str) -> None:
    assert RULES[rule](text)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("clock", "INSERT INTO jobs (id, queued_until) SELECT 'a', clock_timestamp() ON CONFLICT (id) DO NOTHING"),
        ("clock", "SELECT id FROM jobs WHERE due < clock_timestamp() FOR NO KEY UPDATE SKIP LOCKED"),
        (
            "beside",
            "WITH a AS MATERIALIZED (SELECT * FROM close_jobs('{}')) SELECT 1 FROM a JOIN jobs j ON j.id = a.id",
        ),
        ("order", "WITH a AS (SELECT id FROM jobs FOR UPDATE), b AS (UPDATE jobs j SET v = 1 FROM a) SELECT id FROM a"),
    ],
)
def test_the_rule_leaves_what_may_stay(rule: str, text: str) -> None:
    assert not RULES[rule](text)


def test_functions_and_views_are_among_the_texts() -> None:
    assert {"close_jobs", "cancel_units", "reopen_units", "region_queues", "listed_jobs"} <= {name for name, _ in TEXTS}
