"""Lists as PostgreSQL's array literals: what is quoted, what is escaped, and what can't be sent."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from psycopg import DataError

from runner_core.adapters import ArrayDumper


def literal(values: list[Any]) -> str:
    return bytes(ArrayDumper(list).dump(values)).decode()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "{}"),
        (["a"], '{"a"}'),
        (["a", "b c"], '{"a","b c"}'),
        ([""], '{""}'),
        (["", ""], '{"",""}'),
        (['say "no"'], r'{"say \"no\""}'),
        (["back\\slash"], r'{"back\\slash"}'),
        (["ends with \\"], r'{"ends with \\"}'),
        ([r"\""], r'{"\\\""}'),
        (["{", "}", "{}", ","], '{"{","}","{}",","}'),
        ([" a ", "\t"], '{" a ","\t"}'),
        (["'; DROP TABLE jobs; --", "%s"], '{"\'; DROP TABLE jobs; --","%s"}'),
        (["日本の首都", "عربي", "🗼", "e\u0301"], '{"日本の首都","عربي","🗼","e\u0301"}'),
        (["\x01\n\r\x7f\x85\u2028"], '{"\x01\n\r\x7f\x85\u2028"}'),
    ],
)
def test_every_text_is_quoted(values: list[str], text: str) -> None:
    assert literal(values) == text
    assert literal([*values, None]) == (text[:-1] + ",NULL}" if values else "{NULL}"), "also element by element"


def test_the_word_null_is_a_text_and_none_is_none() -> None:
    assert literal([None]) == "{NULL}"
    assert literal(["NULL", "null", None]) == '{"NULL","null",NULL}'
    assert literal(["NULL"]) == '{"NULL"}'


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, -2, 2**63 - 1], "{1,-2,9223372036854775807}"),
        ([True, False, None], "{True,False,NULL}"),
        ([0.5, -1e-7, float("inf"), float("nan")], "{0.5,-1e-07,inf,nan}"),
        ([datetime(2026, 1, 2, 3, 4, 5, 6, UTC), None], '{"2026-01-02T03:04:05.000006+00:00",NULL}'),
        ([UUID(int=7), None], '{"00000000-0000-0000-0000-000000000007",NULL}'),
    ],
)
def test_numbers_truths_and_times(values: list[Any], text: str) -> None:
    assert literal(values) == text


class Word(str):
    """A text with a class of its own, as markup has."""


class Colour(StrEnum):
    """A text with a name."""

    RED = 're"d'


def test_a_text_of_another_class_is_quoted_too() -> None:
    assert literal([Word('a,"b"')]) == r'{"a,\"b\""}'
    assert literal(["a", Colour.RED]) == r'{"a","re\"d"}'


@pytest.mark.parametrize("values", [["\0"], ["a\0b"], ["a", "b\0"], ["\0a", "b"], [None, "a\0b"], [Word("a\0")]])
def test_a_nul_is_refused_and_never_taken_for_a_border(values: list[Any]) -> None:
    with pytest.raises(DataError, match="NUL"):
        literal(values)


@pytest.mark.parametrize("values", [["\ud800"], [None, "\udfff"]])
def test_half_a_surrogate_pair_is_refused(values: list[Any]) -> None:
    with pytest.raises(UnicodeEncodeError):
        literal(values)


@pytest.mark.parametrize("inner", [["a"], [], ("a", "b"), {"a": 1}, {"a"}, b"a"])
def test_a_list_in_a_list_is_refused(inner: object) -> None:
    """Written with str() it would be elements that nobody meant."""
    with pytest.raises(DataError, match="array"):
        literal(["a", inner])
