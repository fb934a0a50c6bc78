"""How answers are compared word by word, and which are not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_api.views.diff import MAX_WORDS, compare, has_words, words

CHINESE = "埃菲尔铁塔位于巴黎,建于一八八九年。"
JAPANESE = "エッフェル塔はパリにあります。1889年に建てられました。"
THAI = "หอไอเฟลตั้งอยู่ที่ปารีสและสร้างขึ้นในปี"
KHMER = "ប៉មអេហ្វែលស្ថិតនៅទីក្រុងប៉ារីស"
SPACED = {
    "en": "The tower stands in Paris.",
    "ar": "يقع البرج في باريس.",
    "ko": "에펠탑은 파리에 있습니다.",
    "hi": "एफिल टावर पेरिस में है।",
    "quoting": "The Chinese name of the tower in Paris is 埃菲尔铁塔, and it was built in 1889.",
    "digits": "4 = 2 + 2",
    "emoji": "🗼 👍",
    "empty": "",
}
texts = st.lists(st.sampled_from(["a", "b", "c", "Paris", "\u00a0", " ", "  ", "\n", "."])).map("".join)


@pytest.mark.parametrize("text", [CHINESE, JAPANESE, THAI, KHMER, f"{CHINESE} Gustave Eiffel (1889)"])
def test_a_script_without_spaces_has_no_words_to_count(text: str) -> None:
    assert not has_words(text)


@pytest.mark.parametrize("name", SPACED)
def test_every_other_text_has_words(name: str) -> None:
    assert has_words(SPACED[name])


def test_a_text_and_the_same_with_a_sentence_more() -> None:
    one = "The tower stands in Paris. It was built in 1889."
    pieces = compare(one, f"{one} Many like it.")
    assert pieces is not None
    assert [(piece.kind, piece.text.strip()) for piece in pieces] == [("same", one), ("added", "Many like it.")]


def test_a_word_keeps_the_white_space_behind_it() -> None:
    assert words(" a  b\nc") == [" ", "a  ", "b\n", "c"]
    assert words("") == []


@settings(deadline=None, derandomize=True, database=None)
@given(texts, texts)
def test_the_pieces_put_together_are_the_two_texts(base: str, other: str) -> None:
    pieces = compare(base, other)
    assert pieces is not None
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == other
    kept = [word.strip() for piece in pieces if piece.kind != "added" for word in words(piece.text)]
    assert kept == [word.strip() for word in words(base)]
    assert {piece.kind for piece in pieces} <= {"same", "added", "removed"}


def test_a_text_that_would_take_seconds_is_not_compared() -> None:
    assert compare("a " * MAX_WORDS, "a") is not None
    assert compare("a " * (MAX_WORDS + 1), "a") is None
    assert compare("a", "a " * (MAX_WORDS + 1)) is None
