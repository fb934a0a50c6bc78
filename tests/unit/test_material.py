"""What the method picks from an export: in one order, whatever the export's, and under one hash."""

from typing import Any

import pytest

from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Call, Material
from runner_core.refusals.text import MAX_CHARACTERS


def export(**changes: Any) -> dict[str, Any]:
    """A `compare.json` of one model, two questions, two regions and two runs."""
    executions = [
        {
            "model_id": "m",
            "question_id": key,
            "question_key": key,
            "region": region,
            "run_no": run,
            "status": "completed",
            "category": "answer",
            "category_source": "rules",
            "evidence": None,
            "language": "en",
            "output": {"response": f"{key} {region} {run}"},
        }
        for key in ("q2", "q1")
        for region in ("US", "EU")
        for run in (1, 2)
    ]
    conditions = [
        {"region": region, "model_id": "m", "system_prompt": None, "upstream": "x", "parameters": {"temperature": 0.5}}
        | {"seeds": "own", "served_models": ["b", "a"], "simulated": False}
        for region in ("US", "EU")
    ]
    return {
        "job_id": "job-1",
        "questions": [{"id": "q2", "question_key": "q2", "text": "?"}, {"id": "q1", "question_key": "q1", "text": "!"}],
        "regions": ["EU", "US"],
        "models": [{"id": "m", "regions": ["US", "EU"]}],
        "runs": 2,
        "controls": ["q1", "of another job"],
        "facts": {"q2": ["a|b"], "of another job": ["c"]},
        "conditions": conditions,
        "executions": executions,
    } | changes


def test_picks_in_code_point_order() -> None:
    material = Material.of_export(export())
    assert material.questions == ("q1", "q2")
    assert material.regions == material.models[0].regions == ("EU", "US")
    assert [c.region for c in material.conditions] == ["EU", "US"]
    assert material.conditions[0].served_models == ("a", "b")
    assert (material.controls, material.facts) == (("q1",), {"q2": ("a|b",)})
    assert material.calls[0] == Call("m", "q1", "EU", 1, "answer", "rules", "en", "q1 EU 1")
    assert material.planned == 8


def test_the_hash_does_not_depend_on_the_order_of_the_rows() -> None:
    document = export()
    before = Material.of_export(document).sha256()
    document["executions"] = document["executions"][3:] + document["executions"][2::-1]
    document["conditions"].reverse()
    document["questions"].reverse()
    assert Material.of_export(document).sha256() == before == analyse(Material.of_export(document))["input_sha256"]


@pytest.mark.parametrize(
    "changes", [{"job_version": 18}, {"label_id": 3}, {"runs": 3}, {"controls": []}, {"facts": {}}]
)
def test_the_hash_depends_on_what_is_used(changes: dict[str, Any]) -> None:
    assert Material.of_export(export(**changes)).sha256() != Material.of_export(export()).sha256()


def test_the_hash_does_not_depend_on_what_is_not_used() -> None:
    assert Material.of_export(export(status="failed", created_at="x")).sha256() == Material.of_export(export()).sha256()


def test_a_text_is_cut_and_a_failed_call_has_none() -> None:
    document = export()
    document["executions"][0]["output"] = {"response": "x" * (MAX_CHARACTERS + 1)}
    document["executions"][1] |= {"output": None, "category": None}
    calls = {(c.question, c.region, c.run): c for c in Material.of_export(document).calls}
    assert len(calls["q2", "US", 1].text) == MAX_CHARACTERS
    failed = calls["q2", "US", 2]
    assert (failed.text, failed.usable, failed.worded, failed.withheld) == ("", False, False, False)


@pytest.mark.parametrize(
    ("category", "usable", "worded", "withheld"),
    [
        ("answer", True, True, False),
        ("deflection", True, True, False),
        ("partial_refusal", True, True, True),
        ("hard_refusal", True, False, True),
        ("content_filter", True, False, True),
        ("non_answer", False, False, False),
        (None, False, False, False),
    ],
)
def test_in_which_sets_a_call_is(category: str | None, usable: bool, worded: bool, withheld: bool) -> None:
    call = Call("m", "q", "EU", 1, category)
    assert (call.usable, call.worded, call.withheld) == (usable, worded, withheld)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"run_no": 2}, "twice"),
        ({"run_no": 3}, "not planned"),
        ({"region": "ASIA"}, "not planned"),
        ({"model_id": "other"}, "not planned"),
        ({"question_key": "q9"}, "not planned"),
        ({"category": "refusal"}, "unknown"),
    ],
)
def test_says_what_contradicts(change: dict[str, Any], sentence: str) -> None:
    document = export()
    document["executions"][0] |= change
    with pytest.raises(ValueError, match=sentence):
        Material.of_export(document)


def test_ten_runs_at_most() -> None:
    with pytest.raises(ValueError, match="1 to 10 runs"):
        Material.of_export(export(runs=11))
