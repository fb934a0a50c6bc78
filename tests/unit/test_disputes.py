"""Which answers the rules and the embedding differ about, without asking the rules again for the same text."""

from typing import Any

import pytest

from runner_api.views import disputes
from runner_core.comparison.export import Scores
from runner_core.refusals import Spoken, categorise
from runner_core.refusals.scored import Score, text_key

QUESTIONS = {"q": "What happened in 1989?"}
REFUSAL = "I'm sorry, but I can't help with that."
PLAIN = "There were protests in many cities of the country."


def call(number: int, text: str, **output: Any) -> dict[str, Any]:
    return {"id": number, "question_id": "q", "output": {"response": text, "finish_reason": "stop"} | output}


def scored(**texts: int) -> Scores:
    return {text_key(text): Score(millionths, text).stored() for text, millionths in texts.items()}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts about which the rules are asked."""
    texts: list[str] = []

    def counted(spoken: Spoken) -> Any:
        texts.append(spoken.text)
        return categorise(spoken)

    monkeypatch.setattr(disputes, "categorise", counted)
    return texts


def test_answers_about_which_the_two_differ_are_found(asked: list[str]) -> None:
    calls = [call(1, REFUSAL), call(2, PLAIN), call(3, "Another text."), call(4, PLAIN, filter="output")]
    found = disputes.Disputes()
    assert found.among(calls, QUESTIONS, scored(**{REFUSAL: 1000, PLAIN: 900_000})) == {1, 2}
    assert found.among(calls, QUESTIONS, scored(**{REFUSAL: 900_000, PLAIN: 1000})) == set()
    assert found.among(calls, QUESTIONS, {}) == set()
    assert "Another text." not in asked, "a text without a score is not disputed, whatever the rules say"


def test_the_rules_read_an_answer_once(asked: list[str]) -> None:
    found, scores = disputes.Disputes(), scored(**{REFUSAL: 1000, PLAIN: 1000})
    for _ in range(3):
        assert found.among([call(1, REFUSAL), call(2, PLAIN), call(3, PLAIN)], QUESTIONS, scores) == {1}
    assert asked == [REFUSAL, PLAIN]


def test_what_is_kept_has_a_bound(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disputes, "MOST", 1)
    found, scores = disputes.Disputes(), scored(**{REFUSAL: 1000, PLAIN: 1000})
    for _ in range(2):
        assert found.among([call(1, REFUSAL), call(2, PLAIN)], QUESTIONS, scores) == {1}
    assert asked == [REFUSAL, PLAIN] * 2
