"""Every call of a statement by its name: the statement exists, and the keywords are the statement's placeholders."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_core.queries import statements
from runner_core.store.answers import Finished, Started
from runner_core.store.columns import columns
from runner_core.store.executions import Ended
from runner_core.store.tries import Try

ROOT = Path(__file__).parents[2]
PRODUCT = ("outbox_publisher", "runner_api", "runner_cli", "runner_core", "runner_queue", "runner_worker")
CALLS = ("run", "row", "rows", "single")
CALLED_OTHERWISE = {"bell.listen_outbox", "bell.listen_jobs"}  # by the name that session.listen is given


def calls() -> Iterator[tuple[str, str, set[str | None]]]:
    """Yield the place, the statement's name and the keywords of each call; None stands for `**mapping`."""
    for path in (path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and len(node.args) == 2 and isinstance(node.args[1], ast.Constant):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in CALLS and isinstance(name := node.args[1].value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", name, {keyword.arg for keyword in node.keywords}


def placeholders(name: str) -> set[str]:
    return {found.decode() for found in re.findall(rb"%\((\w+)\)s", statements()[name].sql)}


FOUND = list(calls())


@pytest.mark.parametrize(("name", "keywords"), [pytest.param(name, words, id=where) for where, name, words in FOUND])
def test_the_keywords_are_the_placeholders(name: str, keywords: set[str | None]) -> None:
    audited = {"job_ids", "regions"}  # may be given for the audit line alone
    assert keywords - placeholders(name) - audited <= {None}
    assert None in keywords or placeholders(name) <= keywords


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("answers.start", Started),
        ("answers.finish", Finished),
        ("executions.record", Ended),
        ("tries.withdraw", Try),
    ],
)
def test_a_batch_of_records_gives_each_field_under_its_name(name: str, record: Any) -> None:
    assert placeholders(name) == set(columns(record, []))


def test_every_statement_is_called() -> None:
    text = "".join(path.read_text() for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
    assert [name for name in statements() if f'"{name}"' not in text and name not in CALLED_OTHERWISE] == []
