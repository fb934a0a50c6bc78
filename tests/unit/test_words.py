"""How the portal's pages write numbers, ids, questions, docstrings and what others wrote."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from markupsafe import Markup

from runner_api.views.words import (
    Exact,
    brief,
    clock,
    count,
    counted,
    moment,
    pretty,
    short,
    shown,
    since,
    span,
    ticked,
)


def test_one_is_not_plural() -> None:
    assert [counted(n, "call") for n in (0, 1, 1200)] == ["0 calls", "1 call", "1,200 calls"]


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert ticked("`a<b` & <i>") == "<code>a&lt;b</code> &amp; &lt;i&gt;"


@pytest.mark.parametrize(
    ("job_id", "listed"),
    [
        ("job-59c549cd-1c39-4b4e-9d3a-0a3a4d7a4f10", "job-59c549cd"),
        ("job-59c549cd1c394b4e9d3a0a3a4d7a4f10", "job-59c549cd"),
        ("job-59c549cd-1c39-4b4e-9d3a-0a3a4d7a4f10-2", "job-59c549cd-1c39-4b4e-9d3a-0a3a4d7a4f10-2"),
        ("web-20261126-151613-0a1b2c3d", "web-20261126-151613-0a1b2c3d"),
        ("job-1", "job-1"),
    ],
)
def test_only_an_id_made_of_a_uuid_is_shortened(job_id: str, listed: str) -> None:
    assert short(job_id) == listed


def test_a_question_in_a_few_words_is_never_a_digest() -> None:
    assert brief("math_basic", "What is 2+2?") == "math_basic"
    assert brief("text-b970d2e6d88c5d63", "Who won\nthe war?") == "Who won the war?"
    assert brief("prompt", "Say hello.") == "Say hello."
    assert brief("text-b970d2e6d88c5d63", "word " * 100).endswith("word …")


def test_what_reverses_a_line_is_replaced_and_what_a_form_sends_back_is_not() -> None:
    assert shown("abc\u202edef\u202d") == "abc\ufffddef\ufffd"
    assert shown("\u0645\u0631\u062d\u0628\u0627 \u200f!") == "\u0645\u0631\u062d\u0628\u0627 \u200f!", (
        "a right-to-left text stays whole"
    )
    for same in (Exact("a\u202eb"), Markup("<b>"), 3, None):
        assert shown(same) is same


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-3.0, "0 s"),
        (0.4, "0 s"),
        (89.0, "89 s"),
        (90.0, "2 min"),
        (5399.0, "90 min"),
        (5400.0, "2 h"),
        (172_799.0, "48 h"),
        (172_800.0, "2 d"),
        (864_000.0, "10 d"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_unit(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_how_long_ago_a_time_was() -> None:
    assert since(datetime.now(UTC) - timedelta(hours=3, minutes=5)) == "3 h"
    assert since(datetime.now(UTC) + timedelta(hours=3)) == "0 s", "clocks differ"


def test_times_are_shown_in_utc_and_never_rounded_up() -> None:
    time = datetime(2026, 11, 27, 0, 59, 59, 999_999, timezone(timedelta(hours=2)))
    assert moment(time) == "2026-11-26 22:59:59 UTC"
    assert clock(time) == "22:59:59.999"


def test_what_is_not_known_is_empty() -> None:
    assert (since(None), moment(None), clock(None), count(None)) == ("", "", "", "")
    assert (count(0), count(1_234_567)) == ("0", "1,234,567")


def test_json_is_shown_as_people_wrote_it() -> None:
    assert pretty({"text": "日本", "at": datetime(2026, 1, 1, tzinfo=UTC)}) == (
        '{\n  "text": "日本",\n  "at": "2026-01-01 00:00:00+00:00"\n}'
    )
