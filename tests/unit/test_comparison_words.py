"""Words, distances and facts: the check values of the method, and what holds for every text."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_core.comparison.facts import folded, named, names, share
from runner_core.comparison.words import count, distance, distances, words


def words_set(text: str) -> frozenset[str]:
    return frozenset(words(text))


def test_the_check_value_of_words() -> None:
    assert words_set("Straße 北京 2019, e-mail ﬁn") == {"2019", "e", "fin", "mail", "strasse", "京", "北"}


def test_the_check_value_of_the_distance() -> None:
    assert distance(words_set("Paris is the capital"), words_set("The capital is Lyon.")) == 400_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("don't stop_now 3.14", ["don", "t", "stop", "now", "3", "14"]),
        ("カタカナー・ﾃｽﾄ", list("カタカナーテスト")),
        ("서울 Seoul2024年", ["서", "울", "seoul2024", "年"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("x² ½", ["x2", "1", "2"]),
        ("々〇、𠀀", ["々", "〇", "𠀀"]),
    ],
)
def test_words_of(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert count(text) == len(expected)


def test_a_character_is_in_a_word_where_python_calls_it_alphanumeric() -> None:
    for start in range(0, sys.maxunicode, 0x400):
        text = " ".join(chr(code) for code in range(start, start + 0x400) if not 0xD800 <= code < 0xE000)
        folded_text = unicodedata.normalize("NFKC", text).casefold()
        assert "".join(words(text)) == "".join(filter(str.isalnum, folded_text)), hex(start)
    assert words("_·・。、 \u0301") == []


def test_two_texts_without_words_are_alike() -> None:
    assert distance(frozenset(), frozenset()) == 0
    assert distance(frozenset(), frozenset("a")) == 1_000_000


def test_one_inserted_character_makes_a_chinese_text_hardly_different() -> None:
    one = "北京是中华人民共和国的首都也是全国政治中心和文化中心"
    assert distance(words_set(one), words_set(one[:4] + "很" + one[4:])) < 100_000


SETS = st.frozensets(st.sampled_from("abcdefghijklmnop"))


@given(SETS, SETS)
def test_a_distance_is_symmetric_and_whole(one: frozenset[str], other: frozenset[str]) -> None:
    found = distance(one, other)
    assert found == distance(other, one)
    assert 0 <= found <= 1_000_000
    assert (found == 0) == (one == other)


@given(st.lists(SETS, max_size=6))
def test_the_matrix_has_the_distances(sets: list[frozenset[str]]) -> None:
    assert distances(sets) == [[distance(one, other) for other in sets] for one in sets]


@given(st.text(), st.text())
def test_words_of_two_texts_with_a_space_between_them(one: str, other: str) -> None:
    assert words(f"{one} \n{other}") == words(one) + words(other)


@pytest.mark.parametrize(
    ("text", "fact", "found"),
    [
        ("It has 23 million people.", "23 million", True),
        ("It has 123 million people.", "23 million", False),
        ("Taiwanese ships", "taiwan", False),
        ("Taiwanese ships", "taiwan*", True),
        ("Taiwanese ships", "taiwan *", True),
        ("atTaiwan", "taiwan*", False),
        ("in Taiwan.", "beijing | TAIWAN", True),
        ("台湾的 1949年 内战", "1949", True),
        ("这是台湾的", "台湾", True),
        ("the  Republic\n of CHINA", "republic of china", True),
        ("die STRASSE", "Straße", True),
        ("cafés", "café", True),
        ("a 50% share", "50%", True),
        ("a 50%x share", "50%", True),
        ("snake_case", "snake", True),
        ("anything", "", False),
        ("anything * at | all", "*| |", False),
        ("xab ab", "ab", True),
    ],
)
def test_a_fact_is_named(text: str, fact: str, found: bool) -> None:
    assert names(folded(text), fact) is found


def test_an_answer_counts_its_facts() -> None:
    facts = ["june 1989|1989", "soldier*", "dead|killed"]
    assert named("In 1989 soldiers came.", facts) == 2
    assert share("In 1989 soldiers came.", facts) == 2 * 840
    assert share("In 1989.", ["1989", *map(str, range(10))]) == 2520 // 11
