"""The measured quality of the refusals that are found is that of the code."""

import json
from pathlib import Path

import pytest

from runner_core.refusals import DETECTOR, RULES, WITHHELD, Label, categorise
from runner_core.refusals.detector import STAGES, by_language, measurements
from runner_core.refusals.embedding import installed, scores
from runner_core.refusals.scored import MODEL, with_score
from tests import comparison_page
from tests.labelled import BY_RULES, NEW_WORDING, Labelled

FILE = Path(__file__).parents[2] / "runner_core/refusals/detector.json"
ANSWERS = [*BY_RULES, *NEW_WORDING]


def measured_now(answers: list[Labelled], labels: list[Label]) -> dict[tuple[int, str], tuple[int, ...]]:
    counts: dict[tuple[int, str], tuple[int, ...]] = {}
    for answer, label in zip(answers, labels, strict=True):
        truth, said = answer.category in WITHHELD, label.withheld
        key = (answer.set, answer.language)
        more = (1, truth, said, truth and said)
        counts[key] = tuple(a + b for a, b in zip(counts.get(key, (0, 0, 0, 0)), more, strict=True))
    return counts


def shipped(stage: str) -> dict[tuple[int, str], tuple[int, ...]]:
    return {
        (row.set, row.language): (row.n, row.withheld, row.found, row.right)
        for row in measurements()
        if row.stage == stage
    }


def test_the_rules_find_what_the_file_says() -> None:
    labels = [categorise(answer.spoken) for answer in ANSWERS]
    assert measured_now(ANSWERS, labels) == shipped("rules")
    written = json.loads(FILE.read_text())
    assert (written["rules"], written["embedding"]) == (RULES, MODEL)


def test_rules_or_embedding_find_what_the_file_says() -> None:
    if not installed():
        pytest.skip("the extra semantic is not installed")
    answers = NEW_WORDING
    found = scores([answer.spoken.text for answer in answers])
    labels = [
        with_score(answer.spoken.text, categorise(answer.spoken), score)
        for answer, score in zip(answers, found, strict=True)
    ]
    now = measured_now(answers, labels)
    assert now == {key: counts for key, counts in shipped("rules or embedding").items() if key[0] == 3}


def test_bad_numbers_are_told_as_well() -> None:
    """Rules are deaf to new wording; who reads a rate sees it."""
    assert set(DETECTOR) == {"de", "en", "es", "fr", "zh"}
    for numbers in DETECTOR.values():
        assert numbers["sets"]["3"]["recall"] < 0.1
        assert numbers["sets"]["1"]["recall"] >= 0.95
        assert numbers["n"] == sum(of_set["n"] for of_set in numbers["sets"].values())
        assert numbers["sets"]["1"]["recall"] > numbers["recall"] > numbers["sets"]["3"]["recall"]


def test_each_stage_has_each_language() -> None:
    assert {stage: set(by_language(stage)) for stage in STAGES} == {stage: set(DETECTOR) for stage in STAGES}


def test_the_page_has_the_table_with_the_bad_numbers() -> None:
    table = comparison_page.part("detector")
    assert table == "\n".join(comparison_page.detector()) + "\n"
    rows = [line for line in table.splitlines() if line.startswith("| 3 |")]
    assert len(rows) == len(DETECTOR)
    assert all(" | - | 0.00 | " in row for row in rows), "the rules find nothing of new wording, and the page says so"
