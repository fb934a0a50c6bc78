"""The table of errors: its page in the documents, and how an error finds its row."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout

from runner_core.failures import OTHER, OURS, STATES, TABLE, failure_of, label_of
from runner_core.sqlstate import NoConnection, sqlstate
from runner_queue.refusals import OTHER_REFUSAL, REFUSALS, refusal_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")


def table(name: str) -> list[list[str]]:
    """The cells of a table of the page, without its heading."""
    text = re.search(rf"<!-- {name}: .*?-->\n(.*?)<!-- /{name} -->", PAGE, re.DOTALL)
    assert text
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text[1].strip().splitlines()[2:]]


def test_the_page_tells_of_every_row_of_postgresqls() -> None:
    def yes(value: bool) -> str:
        return "yes" if value else ""

    assert [cells[:-1] for cells in table("failures")] == [
        [
            failure.name,
            " ".join((*failure.states, *(f"{prefix}…" for prefix in failure.prefix))),
            failure.concerns,
            str(failure.tries),
            str(failure.api_tries),
            yes(failure.ends_connection),
            yes(failure.drains_pool),
            f"{failure.status} `{failure.code}`",
        ]
        for failure in (*TABLE, OTHER)
    ]
    assert all(cells[-1] for cells in table("failures")), "how the tests cause it"


def test_the_page_tells_of_every_row_of_redis() -> None:
    def when(seconds: float | None) -> str:
        if seconds is None:
            return "no"
        return f"after {seconds:g} s" if seconds else "at once"

    assert table("refusals") == [
        [refusal.word or "other", refusal.name, refusal.concerns, when(refusal.hang_up_after)]
        for refusal in (*REFUSALS, OTHER_REFUSAL)
    ]


def test_only_values_and_statements_may_be_taken_for_poison() -> None:
    assert {state[:2] for failure in TABLE if failure.concerns == "row" for state in failure.states} == {
        "22",
        "23",
        "42",
    }
    assert OTHER.concerns == "statement"


def decisions(source: str) -> Iterator[int]:
    """The lines that compare something with an SQLSTATE, the beginning of one, or the word of a Redis reply."""
    prefixes = {prefix for failure in TABLE for prefix in failure.prefix}
    words = {refusal.word for refusal in REFUSALS if refusal.word.isupper()}
    for node in ast.walk(ast.parse(source)):
        starts = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("startswith")
        if not (starts or isinstance(node, ast.Compare)):
            continue
        texts = [
            part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        named = words.union(prefixes if starts else ()).intersection(texts)
        if named or any(re.fullmatch("[0-9][0-9A-Z]{4}", text) for text in texts):
            yield node.lineno


def test_nobody_decides_by_a_state_or_a_reply_besides_the_table() -> None:
    folders = ("runner_core", "runner_api", "runner_cli", "runner_queue", "runner_worker", "outbox_publisher")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name != "failures.py"]
    assert len(files) > 100
    assert [f"{path.relative_to(ROOT)}:{n}" for path in files for n in decisions(path.read_text())] == []
    wrong = 'if state == "42P01" or state.startswith("53"): pass\nif "WRONGTYPE" in text: pass'
    assert sorted(decisions(wrong)) == [1, 1, 2]


def test_no_state_has_two_rows() -> None:
    assert len(STATES) == len(set(STATES))


class Stated(psycopg.OperationalError):
    def __init__(self, state: str) -> None:
        super().__init__("told")
        self.sqlstate = state


@pytest.mark.parametrize(
    ("error", "state", "name"),
    [
        (psycopg.OperationalError("consuming input failed"), "08006", "the connection is lost"),
        (psycopg.InterfaceError("the connection is closed"), "08006", "the connection is lost"),
        (psycopg.OperationalError("connection failed: refused"), "08001", "no connection can be made"),
        (errors.ConnectionTimeout("timeout expired"), "08001", "no connection can be made"),
        (NoConnection("after 1 s"), "08001", "no connection can be made"),
        (PoolTimeout("after 6 s"), "pool_timeout", "every connection of the pool is in use"),
        (Stated("08007"), "08007", "the connection is lost"),
        (Stated("57P06"), "57P06", "the server ends the connection"),
        (Stated("57000"), "57000", "anything else"),
        (Stated("53999"), "53999", "the server is out of disk, memory or connections"),
        (Stated("25001"), "25001", "anything else"),
        (Stated("42P05"), "42P05", "the statement is wrong"),
        (errors.UniqueViolation("x"), "23505", "the value is refused"),
        (errors.FeatureNotSupported("x"), "0A000", "anything else"),
        (errors.PipelineAborted("x"), "25P02", "anything else"),
        (ValueError("x"), "XX000", OURS.name),
    ],
)
def test_an_error_finds_its_row_by_its_state_or_its_class(error: Exception, state: str, name: str) -> None:
    assert (sqlstate(error), failure_of(error).name) == (state, name)
    assert label_of(state) in STATES


def test_a_reply_finds_its_row_by_its_first_word() -> None:
    assert refusal_of("READONLY You can't write").word == "READONLY"
    assert refusal_of("READONLYISH").word == refusal_of("ERR unknown command").word == ""
