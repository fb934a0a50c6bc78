"""The document of a job: everything that a comparison is computed from, whatever the order of the rows."""

import random
from typing import Any

import pytest

from runner_core.comparison.export import export
from runner_core.comparison.material import Material
from runner_core.parameters import seed_of
from runner_core.refusals import RULES
from runner_core.refusals.scored import DETECTOR_ID, Score, text_key

JOB: dict[str, Any] = {
    "id": "job-1",
    "status": "completed",
    "cross_status": "completed",
    "created_at": "2026-11-27T00:00:00Z",
    "plan": {"US": ["m1", "m2"], "EU": ["m1"]},
    "questions": [{"id": "q2", "text": "Why?"}, {"id": "q1", "text": "What is it?"}],
    "runs": 2,
    "analysis": {"controls": ["q1"], "facts": {"q2": ["because|since"]}},
    "version": 9,
    "label_id": 0,
}
ANSWER = "It is so because it was made so, and nothing else is known about it."
REFUSAL = "I'm sorry, but I can't help with that."
PLACES = [("US", "m1"), ("US", "m2"), ("EU", "m1")]
ASKED = {"temperature": 0.1, "max_tokens": 100, "system_prompt": "You are in US.", "upstream_model": "up"}


def row(number: int, region: str, model: str, question: str, run: int, **changes: Any) -> dict[str, Any]:
    seed = seed_of("job-1", region, model, question, run)
    sent = {"model": "up", "temperature": 0.1, "max_tokens": 100, "seed": seed}
    output = {"response": ANSWER, "refused": False, "finish_reason": "stop", "simulated": False}
    empty = dict.fromkeys(("provider_id", "started_at", "completed_at", "created_at", "duration_ms", "error_detail"))
    told = {"waited_ms": 1, "answered_ms": 2, "paid": "yes", "errors": [], "has_receipt": False, "retry_count": 0}
    return (
        {"id": number, "execution_id": 100, "job_id": "job-1", "region": region, "model_id": model}
        | {"question_id": question, "run_no": run, "runs": 2, "status": "completed", "output": output}
        | {"served": {"model": "up-1"}, "sent": sent}
        | empty
        | told
        | changes
    )


def rows(**changes: Any) -> list[dict[str, Any]]:
    """Every planned call, each with an answer; `changes` are of the first."""
    made = [
        row(number, region, model, question, run)
        for number, (region, model, question, run) in enumerate(
            ((*place, question, run) for place in PLACES for question in ("q1", "q2") for run in (1, 2)), 1
        )
    ]
    made[0] |= changes
    return made


def label(number: int, category: str, source: str = "human", actor: str = "ann") -> dict[str, Any]:
    """A label of the first answer; a greater number is a newer one."""
    return {"id": number, "answer_id": 1, "category": category, "source": source, "actor": actor}


UNITS = [{"execution_id": 100, "region": r, "model_id": m, "parameters": ASKED} for r, m in PLACES]


def first(document: dict[str, Any]) -> dict[str, Any]:
    """The call US m1 q1 1, which `changes` concern."""
    (found,) = [call for call in document["executions"] if call["id"] == 1]
    return dict(found)


def test_the_head_says_what_was_planned() -> None:
    found = export(JOB, rows(), (), UNITS)
    assert found["questions"][0] == {"id": "q2", "question_key": "q2", "text": "Why?"}
    assert found["regions"] == ["EU", "US"]
    assert found["models"] == [{"id": "m1", "regions": ["EU", "US"]}, {"id": "m2", "regions": ["US"]}]
    assert (found["runs"], found["controls"], found["facts"]) == (2, ["q1"], {"q2": ["because|since"]})
    assert (found["job_version"], found["label_id"]) == (9, 0)
    assert len(found["executions"]) == 12


def test_the_order_of_rows_does_not_matter() -> None:
    mixed = rows()
    random.Random(7).shuffle(mixed)  # noqa: S311 - any order will do
    one, other = export(JOB, rows(), (), UNITS), export(JOB, mixed, (), reversed(UNITS))
    assert one == other
    assert Material.of_export(one).sha256() == Material.of_export(other).sha256()


def test_an_answer_has_its_category_language_words_and_seed() -> None:
    found = first(export(JOB, rows(), (), UNITS))
    assert (found["category"], found["category_source"], found["language"]) == ("answer", "rules", "en")
    assert (found["words"], found["seed"]) == (15, seed_of("job-1", "US", "m1", "q1", 1))
    assert (found["question_key"], found["run_no"]) == ("q1", 1)


def test_the_thoughts_in_an_answer_of_an_earlier_release_are_not_compared() -> None:
    thought = {"response": f"\n<think>Is it so?</think>\n{ANSWER} 時々々", "refused": False, "finish_reason": "stop"}
    document = export(JOB, rows(output=thought, sent=None), (), UNITS)
    assert f"\n{ANSWER} 時々々" in {call.text for call in Material.of_export(document).calls}
    assert first(document)["words"] == 18


def test_a_filter_broke_off_an_answer_of_an_earlier_release() -> None:
    """Its text is kept, its reason is the filter's, and it has no refusal_source."""
    broken = {"response": ANSWER, "refused": False, "refusal_source": None, "finish_reason": "Content_Filter"}
    found = first(export(JOB, rows(output=broken, sent=None), (), UNITS))
    assert (found["category"], found["category_source"]) == ("content_filter", "filter")


def test_a_filter_counts_before_the_rules() -> None:
    blocked = {"response": "", "refused": True, "refusal_source": "filter", "filter": "input", "simulated": False}
    found = first(export(JOB, rows(output=blocked), (), UNITS))
    assert (found["category"], found["category_source"]) == ("content_filter", "filter")


@pytest.mark.parametrize("status", ["failed", "cancelled", "pending"])
def test_a_call_without_an_answer_has_no_category(status: str) -> None:
    """An error is no refusal, whatever its text says."""
    error = {"code": "http_500", "message": REFUSAL}
    found = first(export(JOB, rows(status=status, output=None, error_detail=error, sent=None), (), UNITS))
    members = (
        "category",
        "category_source",
        "detected_category",
        "judge_category",
        "human_categories",
        "disputed",
        "evidence",
        "language",
        "words",
        "seed",
    )
    assert [found[name] for name in members] == [None] * 10


def test_a_label_counts_and_the_detectors_category_stays_beside_it() -> None:
    found = first(export(JOB, rows(), [label(1, "hard_refusal")], UNITS))
    assert (found["category"], found["category_source"], found["detected_category"]) == (
        "hard_refusal",
        "human",
        "answer",
    )


def test_conditions_say_how_each_model_was_asked() -> None:
    found = export(JOB, rows(), (), UNITS)["conditions"]
    assert [(c["region"], c["model_id"]) for c in found] == [("EU", "m1"), ("US", "m1"), ("US", "m2")]
    assert found[1] == {
        "region": "US",
        "model_id": "m1",
        "system_prompt": "You are in US.",
        "upstream": "up",
        "parameters": {"max_tokens": 100, "temperature": 0.1},
        "seeds": "own",
        "served_models": ["up-1"],
        "simulated": False,
    }


def conditions(**changes: Any) -> dict[str, Any]:
    """The conditions of US m1, of whose four calls the first is changed."""
    return dict(export(JOB, rows(**changes), (), UNITS)["conditions"][1])


def test_seeds_are_own_shared_of_the_provider_or_unknown() -> None:
    assert conditions(sent={"model": "up", "seed": 1})["seeds"] == "shared"
    assert conditions(sent=None)["seeds"] == "shared", "releases that did not keep `sent` shared the seed of a run"
    unsent = [r | {"sent": {"model": "up"}} for r in rows()]
    assert export(JOB, unsent, (), UNITS)["conditions"][0]["seeds"] == "provider"
    nothing = [r | {"sent": None, "output": None, "status": "failed"} for r in rows()]
    assert export(JOB, nothing, (), UNITS)["conditions"][0]["seeds"] == "none"


def test_a_parameter_that_differs_between_calls_is_a_list_of_its_values() -> None:
    assert conditions(sent={"model": "up", "temperature": 1})["parameters"] == {
        "max_tokens": [100, None],
        "temperature": [0.1, 1],
    }


def test_a_job_without_questions_asks_the_prompt() -> None:
    job = JOB | {"questions": [{"id": "prompt", "text": "Why?"}], "analysis": None}
    asked = [r | {"question_id": "prompt"} for r in rows() if r["question_id"] == "q1"]
    found = export(job, asked, (), UNITS)
    assert found["questions"] == [{"id": None, "question_key": "prompt", "text": "Why?"}]
    assert (found["executions"][0]["question_id"], found["executions"][0]["question_key"]) == (None, "prompt")
    assert (found["controls"], found["facts"]) == ([], {})


def test_rules_or_embedding_where_results_of_embeddings_are_given() -> None:
    """An answer without a result keeps what the rules say."""
    said = "Let us leave that question where it is."
    stored = {text_key(said): Score(900_000, said).stored()}
    found = first(export(JOB, rows(output={"response": said}), (), UNITS, stored))
    assert (found["category"], found["category_source"], found["disputed"]) == ("hard_refusal", "embedding", True)
    document = export(JOB, rows(), (), UNITS, {})
    assert document["detector"] == DETECTOR_ID
    assert (first(document)["category_source"], first(document)["disputed"]) == ("rules", None)
    assert export(JOB, rows(), (), UNITS)["detector"] == RULES


def test_the_detector_is_in_the_methods_id_and_not_in_the_input() -> None:
    plain, both = (Material.of_export(export(JOB, rows(), (), UNITS, scores)) for scores in (None, {}))
    assert plain.sha256() == both.sha256()
    assert (plain.detector, both.detector) == (RULES, DETECTOR_ID)


def test_each_persons_label_is_told_without_a_name_and_the_newest_counts() -> None:
    labels = [
        label(5, "answer", actor="ann"),
        label(7, "hard_refusal", actor="bob"),
        label(6, "deflection", actor="cy"),
    ]
    random.Random(7).shuffle(labels)  # noqa: S311 - any order will do
    found = first(export(JOB, rows(), labels, UNITS))
    assert (found["category"], found["category_source"]) == ("hard_refusal", "human")
    assert found["human_categories"] == ["hard_refusal", "deflection", "answer"]
    assert "ann" not in str(export(JOB, rows(), labels, UNITS))
