"""Where the model that served a job's answers changed, from rows alone."""

from typing import Any

from runner_core.served import identities
from runner_core.served_changes import ServedChange, sentences_by_place, sentences_of, served_changes


def row(region: str, served: str | None, run_no: int = 1, question: str = "q1", model_id: str = "m1") -> dict[str, Any]:
    told = None if served is None else {"model": served, "request_id": f"req-{region}-{run_no}-{question}"}
    return {"model_id": model_id, "region": region, "run_no": run_no, "question_id": question, "served": told}


def test_the_same_model_everywhere_is_no_change() -> None:
    assert served_changes([row(region, "gpt-5", run) for region in ("US", "EU") for run in (1, 2)]) == []


def test_a_change_between_regions() -> None:
    found = served_changes([row("EU", "gpt-5-b"), row("US", "gpt-5-a"), row("ASIA", "gpt-5-a")])
    assert found == [ServedChange("m1", "regions", "US", "EU", ("gpt-5-a",), ("gpt-5-b",))]
    assert found[0].sentence() == "Served model changed: m1, from US to EU: gpt-5-a, then gpt-5-b."


def test_a_change_between_runs() -> None:
    found = served_changes([row("EU", "old", 1), row("EU", "old", 2), row("EU", "new", 3)])
    assert found == [ServedChange("m1", "runs", "2", "3", ("old",), ("new",), "EU")]
    assert found[0].sentence() == "Served model changed: m1 in EU, from run 2 to run 3: old, then new."


def test_a_change_between_questions_of_a_run() -> None:
    (found,) = served_changes([row("EU", "old", 2, "q1"), row("EU", "new", 2, "q2"), row("EU", "new", 2, "q3")])
    assert found == ServedChange("m1", "questions", "q1", "q2", ("old",), ("new",), "EU", 2)
    assert found.sentence() == "Served model changed: m1 in EU, run 2, from question q1 to question q2: old, then new."


def test_each_model_is_compared_with_itself() -> None:
    assert served_changes([row("US", "a"), row("US", "b", model_id="m2")]) == []


def test_calls_that_do_not_say_are_left_out() -> None:
    nothing = row("EU", "x") | {"served": {"request_id": "req"}}
    assert served_changes([row("US", "a"), row("EU", None), nothing]) == []


def test_a_job_without_questions_or_runs_is_read_too() -> None:
    bare = [{"model_id": "m1", "region": region, "question_id": None, "served": {"model": region}} for region in "AB"]
    assert [(change.first, change.second) for change in served_changes(bare)] == [("A", "B")]


def test_a_change_concerns_the_calls_at_its_two_places() -> None:
    rows = [row("EU", "old", 1), row("EU", "old", 2), row("EU", "new", 3), row("US", None, 3)]
    (change,) = served_changes(rows)
    by_place = sentences_by_place([change])
    told = [change.sentence()]
    assert [sentences_of(one, by_place) for one in rows] == [[], told, told, []]
    assert sentences_of(row("EU", "new", 3, model_id="m2"), by_place) == []


def test_a_row_has_the_changes_of_its_region_its_run_and_its_question() -> None:
    rows = [row("US", "a"), row("EU", "a", 1), row("EU", "b", 2, "q1"), row("EU", "c", 2, "q2")]
    changes = served_changes(rows)
    by_place = sentences_by_place(changes)
    between = {change.sentence(): change.between for change in changes}
    told = [[between[sentence] for sentence in sentences_of(one, by_place)] for one in rows]
    assert told == [["regions"], ["regions", "runs"], *[["regions", "runs", "questions"]] * 2]


def test_a_sentence_names_few_models_however_many_a_provider_names() -> None:
    (change,) = served_changes([row("US", "a"), *(row("EU", f"m{n:03}", question=f"q{n}") for n in range(99))])[:1]
    assert change.sentence().endswith(": a, then m000 and m001 and m002 and 96 others.")
    assert len(change.after) == 99


def test_a_change_as_json_has_its_sentence() -> None:
    (change,) = served_changes([row("US", "a"), row("EU", "b")])
    shown = change.as_json()
    assert (shown["before"], shown["after"], shown["between"]) == (("a",), ("b",), "regions")
    assert shown["sentence"].startswith("Served model changed")


def test_identities_leave_out_what_says_nothing() -> None:
    assert identities([None, {}, {"request_id": "r"}, {"model": "m"}, {"model": "m", "service_tier": "x"}]) == [
        {"model": "m"}
    ]
