"""Labels by a person: the sample is blind and stable, goes on where it was left, and kappa is told with its n."""

from typing import Any

import pytest

from runner_cli.labelling import LETTERS, Shown, kappas, queue
from runner_core.comparison.sampling import sample
from runner_core.refusals import CATEGORIES
from tests.analysed_job import exported

EXPORT = exported(runs=10)
EVERY = [call["id"] for call in EXPORT["executions"]]


def label(answer: int, category: str = "answer", actor: str = "ann", source: str = "human") -> dict[str, Any]:
    return {"id": answer, "answer_id": answer, "category": category, "source": source, "actor": actor}


def test_every_category_has_a_letter() -> None:
    assert {category for category, _ in LETTERS.values()} == set(CATEGORIES)
    assert not set(LETTERS) & {"s", "b", "q"}


def test_nothing_shows_where_an_answer_comes_from() -> None:
    left, done = queue(EXPORT, [], 60, None)
    assert (len(left), done) == (len(EVERY), 0)
    assert set(Shown.__dataclass_fields__) == {"answer_id", "question", "text"}
    assert [shown.answer_id for shown in left] != sorted(shown.answer_id for shown in left)


def test_the_sample_is_the_same_for_everybody_and_the_order_is_not() -> None:
    ann, bob = ([shown.answer_id for shown in queue(EXPORT, [], 12, name)[0]] for name in ("ann", "bob"))
    assert sorted(ann) == sorted(bob) == sorted(sample("j", EVERY, 12))
    assert ann != bob


def test_answers_about_which_the_detector_is_divided_come_first() -> None:
    """They are first inside the sample, which stays the same; and a person isn't shown which they are."""
    disputed = set(EVERY[::4])
    calls = [call | {"disputed": call["id"] in disputed} for call in EXPORT["executions"]]
    plain, shown = queue(EXPORT, [], 12, "ann")[0], queue(EXPORT | {"executions": calls}, [], 12, "ann")[0]
    first = [one for one in plain if one.answer_id in disputed]
    assert 0 < len(first) < 12
    assert shown == first + [one for one in plain if one.answer_id not in disputed]


def test_a_sample_goes_on_where_it_was_left() -> None:
    labels = [label(answer, actor="ann") for answer in sample("j", EVERY, 12)[:5]]
    assert (len(queue(EXPORT, labels, 12, "ann")[0]), queue(EXPORT, labels, 12, "ann")[1]) == (7, 5)
    assert len(queue(EXPORT, labels, 12, "bob")[0]) == 12
    assert len(queue(EXPORT, labels, 12, None)[0]) == 7


def test_a_judges_label_and_an_answer_without_a_text_are_no_work() -> None:
    export = exported()
    export["executions"][0]["output"] = {"response": "  "}
    export["executions"][1] |= {"category": None, "output": None}
    left, done = queue(export, [label(3, source="judge")], 60, None)
    assert (sorted(shown.answer_id for shown in left), done) == (list(range(3, 9)), 0)


@pytest.mark.parametrize(("n", "told"), [(29, "not measured here (n = 29"), (30, "kappa 1.00 (n = 30)")])
def test_kappa_is_told_from_thirty_answers_on(n: int, told: str) -> None:
    detected = {call["id"]: call["detected_category"] for call in EXPORT["executions"]}
    (found,) = kappas(EXPORT, [label(answer, detected[answer]) for answer in EVERY[:n]])
    assert told in found.sentence()
    assert found.sentence().startswith("people and detector: ")


def test_the_newest_label_of_an_answer_counts_and_two_people_are_compared() -> None:
    labels = [label(answer, "hard_refusal" if answer % 2 else "answer") for answer in EVERY]
    labels += [label(answer, "partial_refusal" if answer % 2 else "deflection", "bob") for answer in EVERY]
    labels += [label(answer, actor="cid") for answer in EVERY[:3]]
    labels += [label(answer, source="judge", actor="judge") for answer in EVERY]
    told = [one.sentence() for one in kappas(EXPORT, labels)]
    assert told[2] == "ann and bob: kappa 1.00 (n = 40)"
    assert told[1].startswith("judge and people: ")
    assert len(told) == 3
