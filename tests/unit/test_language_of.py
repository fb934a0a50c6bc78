"""The language of an answer."""

import pytest

from runner_core.refusals import language_of
from tests.labelled import LABELLED


def test_the_language_of_labelled_answers_is_right_or_unknown() -> None:
    told = [(answer, language_of(answer.spoken.text)) for answer in LABELLED if answer.spoken.text.strip()]
    assert not [answer.id for answer, language in told if language not in (answer.language, "und")]
    assert sum(language == answer.language for answer, language in told) >= 0.9 * len(told)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("日本の首都は東京です。", "ja"),
        ("대한민국의 수도는 서울이다.", "ko"),
        ("Столица Перу — Лима.", "ru"),
        ("首都是利马 (Lima)。", "zh"),
        ("<think>首都是利马，我知道。</think>The capital of Peru is Lima.", "en"),
        ("4", "und"),
        ("", "und"),
        ("Lima", "und"),
    ],
)
def test_by_script_and_by_words(text: str, language: str) -> None:
    assert language_of(text) == language
