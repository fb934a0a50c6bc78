"""How answers are compared word by word, and which are not."""

import pytest

from runner_api.views.diff import compare, has_words, overlap

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


@pytest.mark.parametrize("text", [CHINESE, JAPANESE, THAI, KHMER, f"{CHINESE} Gustave Eiffel (1889)"])
def test_a_script_without_spaces_has_no_words_to_count(text: str) -> None:
    assert not has_words(text)
    assert overlap(text, f"{text}{text[:6]}") is None, "not 0: the longer text holds the whole shorter one"
    assert overlap(text, SPACED["en"]) is None
    assert overlap(text, text) == 1.0


@pytest.mark.parametrize("name", SPACED)
def test_every_other_text_has_words(name: str) -> None:
    assert has_words(SPACED[name])
    assert overlap(SPACED[name], SPACED[name]) == 1.0


def test_a_text_and_the_same_with_a_sentence_more() -> None:
    one = "The tower stands in Paris. It was built in 1889."
    assert overlap(one, f"{one} Many like it.") == pytest.approx(20 / 23)
    pieces = compare(one, f"{one} Many like it.")
    assert pieces is not None
    assert [(piece.kind, piece.text.strip()) for piece in pieces] == [("same", one), ("added", "Many like it.")]
