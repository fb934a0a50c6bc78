"""How the portal's pages write numbers, ids, questions, docstrings and what others wrote."""

import pytest
from markupsafe import Markup

from runner_api.views.words import Exact, brief, counted, short, shown, ticked


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
