"""Lists that were sent as array literals are what a real server reads."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runner_core.adapters import adapt

Conn = psycopg.Connection[Any]

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
hostile = st.lists(st.sampled_from(['"', "\\", "{", "}", ",", "'", " ", "\n", "NULL", "null", "\\N", "a", "é"])).map(
    "".join
)
words = st.lists(st.one_of(texts, hostile))
words_or_none = st.lists(st.one_of(st.none(), texts, hostile))
numbers = st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)))
truths = st.lists(st.one_of(st.none(), st.booleans()))
floats = st.lists(st.one_of(st.none(), st.floats(allow_nan=False)))
times = st.lists(st.one_of(st.none(), st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))))

# The connection is the test's; no example changes anything.
often = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def adapted(shared_database_url: str) -> Iterator[Conn]:
    with psycopg.connect(shared_database_url, autocommit=True) as conn:
        adapt(conn)
        yield conn


def read_back(conn: Conn, kind: str, values: list[Any]) -> tuple[list[Any], int]:
    """Return the list as the server sends it, and the number of elements that the server sees."""
    sent = f"SELECT a, cardinality(a) FROM (SELECT %s::{kind}[] AS a) AS sent"  # noqa: S608
    found = conn.execute(sent.encode(), [values]).fetchone()
    assert found
    return found[0], found[1]


@often
@given(words)
@example(["NULL", "null", ""])
@example(['{"a","b"}', '\\"', "\\", ",", "{}"])
def test_texts(adapted: Conn, values: list[str]) -> None:
    assert read_back(adapted, "text", values) == (values, len(values))


@often
@given(words_or_none)
@example([None, "NULL"])
def test_texts_and_nulls(adapted: Conn, values: list[str | None]) -> None:
    assert read_back(adapted, "text", values) == (values, len(values))


@often
@given(st.sampled_from(("bigint", "boolean", "float8", "timestamptz")), st.data())
def test_numbers_truths_and_times(adapted: Conn, kind: str, data: st.DataObject) -> None:
    strategy = {"bigint": numbers, "boolean": truths, "float8": floats, "timestamptz": times}[kind]
    values: list[Any] = data.draw(strategy)
    assert read_back(adapted, kind, values) == (values, len(values))
