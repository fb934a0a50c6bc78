"""A9 and A19: what the distance of two texts tells apart, on labelled pairs, and what it cannot see."""

import json
from pathlib import Path

from runner_core.comparison.words import distance, words

PAIRS = [json.loads(line) for line in (Path(__file__).parents[1] / "data/pairs.jsonl").read_text("utf-8").splitlines()]
ALIKE = ("paraphrase", "format")


def apart(one: str, other: str) -> int:
    return distance(frozenset(words(one)), frozenset(words(other)))


def distances_of(*kinds: str) -> list[int]:
    return [apart(pair["a"], pair["b"]) for pair in PAIRS if pair["kind"] in kinds]


def auc(kind: str) -> float:
    """Return how often a pair of this kind is further apart than one that says the same in other words."""
    others, alike = distances_of(kind), distances_of(*ALIKE)
    wins = sum((far > near) + (far == near) / 2 for far in others for near in alike)
    return wins / (len(others) * len(alike))


def test_the_distance_tells_refusals_and_other_content_from_paraphrases() -> None:
    assert auc("refusal") >= 0.99
    assert auc("unrelated") >= 0.99
    assert auc("official_line") >= 0.95


def test_the_distance_cannot_see_a_contradiction() -> None:
    assert auc("contradiction") < 0.5


def test_one_inserted_character_in_chinese() -> None:
    """Words are characters there: cut at spaces, the two texts would share nothing."""
    text = "1989年春天，北京的大学生举行了数周的抗议活动，要求政治改革；军队在夜里开进市中心。"
    other = text.replace("抗议", "抗议了", 1)
    assert not set(text.split()) & set(other.split())
    assert 0 <= apart(text, other) < 100_000
