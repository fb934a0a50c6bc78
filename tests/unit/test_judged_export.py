"""What an export says of a judge's labels: which of them count, and what stands beside the others."""

import pytest

from runner_core.comparison.export import export
from runner_core.refusals import RULES
from tests.unit.test_export import ANSWER, JOB, UNITS, first, label, rows


@pytest.mark.parametrize(
    ("judge", "human", "expected"),
    [
        (None, False, ("answer", "rules", "deflection")),
        ("judge-1", False, ("deflection", "judge", "deflection")),
        ("judge-2", False, ("answer", "rules", None)),
        ("judge-1", True, ("hard_refusal", "human", "deflection")),
    ],
)
def test_a_judges_label_counts_where_that_judge_does_and_stands_beside_the_others(
    judge: str | None, human: bool, expected: tuple[str, str, str | None]
) -> None:
    labels = [label(1, "deflection", "judge", "us/m judge-1")]
    if human:
        labels.append(label(2, "hard_refusal"))
    document = export(JOB, rows(), labels, UNITS, None, judge)
    found = first(document)
    assert (found["category"], found["category_source"], found["judge_category"]) == expected
    assert found["detected_category"] == "answer"
    assert document["detector"] == (f"{RULES}+{judge}" if judge else RULES)


def test_a_newer_label_of_another_judge_does_not_hide_the_one_that_counts() -> None:
    labels = [label(1, "deflection", "judge", "us/m judge-1"), label(2, "non_answer", "judge", "us/n judge-2")]
    for judge, category, shown in (
        ("judge-1", "deflection", "deflection"),
        ("judge-2", "non_answer", "non_answer"),
        (None, "answer", "non_answer"),
    ):
        found = first(export(JOB, rows(), labels, UNITS, None, judge))
        assert (found["category"], found["judge_category"]) == (category, shown)


def test_categories_of_two_judges_never_stand_in_one_export() -> None:
    """After a change of the model some answers have labels of the one judge, others of the other."""
    labels = [label(1, "deflection", "judge", "us/m judge-1"), label(2, "answer", "judge", "us/n judge-2")]
    labels[1]["answer_id"] = 2
    told = [
        [
            call["judge_category"]
            for call in export(JOB, rows(), labels, UNITS, None, judge)["executions"]
            if call["id"] < 3
        ]
        for judge in (None, "judge-1")
    ]
    assert told == [[None, "answer"], ["deflection", None]], (
        "of the judge that labelled last, and of the one that counts"
    )


@pytest.mark.parametrize(
    ("output", "source"),
    [
        ({"filter": "output"}, "filter"),
        ({"refusal_source": "provider", "refused": True}, "provider"),
        ({"finish_reason": "content_filter"}, "filter"),
    ],
)
def test_a_judge_does_not_overrule_the_protocol_and_a_person_does(output: dict[str, str], source: str) -> None:
    labels = [label(1, "answer", "judge", "us/m judge-1")]
    told = rows(output={"response": ANSWER} | output)
    found = first(export(JOB, told, labels, UNITS, None, "judge-1"))
    assert (found["category"], found["category_source"], found["judge_category"]) == (
        "content_filter",
        source,
        "answer",
    )
    found = first(export(JOB, told, [*labels, label(2, "answer")], UNITS, None, "judge-1"))
    assert (found["category"], found["category_source"]) == ("answer", "human")
