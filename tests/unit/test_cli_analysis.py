"""What the command line shows of a comparison: cautions first, verdicts beside answers, and no number of its own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runner_cli.analysed import Analysed, is_analysis
from runner_cli.analysis_text import head, lines, verdict
from runner_cli.columns import aligned
from runner_cli.comparison import side_by_side
from runner_cli.recomputed import NotComparable, differences
from runner_cli.snapshot import Snapshot
from runner_core.comparison.verdict import VERDICTS
from tests.analysed_job import analysed, exported

SECTION_9 = json.loads((Path(__file__).parents[1] / "data/analysis.json").read_text())
PENDING = {"job_id": "j", "state": "pending", "text": "The comparison is being computed.", "previous": None}


def found(document: dict[str, Any]) -> Analysed:
    assert is_analysis(document)
    return Analysed(document)


def test_cautions_stand_before_the_headline() -> None:
    told = head(found(SECTION_9), None)
    assert told[0].startswith("Caution: The regions were asked with different system prompts")
    assert told[1:] == ["", SECTION_9["headline"]["text"]]
    assert lines(found(SECTION_9), None)[:3] == told


def test_a_caution_of_some_models_names_them() -> None:
    cautions = [SECTION_9["cautions"][0] | {"models": ["m2"]}]
    assert head(found(SECTION_9 | {"cautions": cautions}), None)[0].endswith(" (m2)")


def test_what_may_come_from_a_cache_is_said_beside_the_numbers_of_its_model() -> None:
    caution = SECTION_9["cautions"][0] | {"code": "runs_repeat", "models": ["m2"]}
    told = lines(found(SECTION_9 | {"cautions": [caution]}), None)
    (at,) = [
        place for place, line in enumerate(told) if line.startswith("Runs repeat each other word for word and may")
    ]
    assert told.index("m2") < told.index("facts     not tested", told.index("m2")) < at
    assert not any("from a cache" in line for line in lines(found(SECTION_9), None))


def test_without_a_comparison_stands_the_reason() -> None:
    assert head(found(PENDING), 80) == ["The comparison is being computed."]
    assert found(PENDING).verdicts(["m"]) == {}
    assert found(PENDING).summary()["headline"] is None


def test_every_number_is_in_the_document() -> None:
    """Rates in percent, differences in points, distances with three decimals, p with four."""
    document = analysed(exported(runs=5))
    known: set[float] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                collect(inner)
        elif isinstance(value, int | float):
            known.update(round(scaled, places) for scaled in (value, 100 * value) for places in (0, 2, 3, 4))
        elif isinstance(value, str):
            known.update(float(number) for number in re.findall(r"\d+(?:\.\d+)?", value))

    collect(document)
    known |= {95, 30, 2, len(document["design"]["regions"])}  # of the interval's name, of kappa's bound, of names
    text = "\n".join(lines(found(document), None))
    shown = {abs(float(number)) for number in re.findall(r"-?\d+(?:\.\d+)?", text)}
    assert not shown - {abs(number) for number in known}


def test_words_that_a_comparison_never_says() -> None:
    for document in (SECTION_9, analysed(exported(runs=1)), analysed(exported(runs=5))):
        told = "\n".join(lines(found(document), 100))
        assert not re.search("agree|contradict|bias", told, re.IGNORECASE)
        assert not re.search(r"p = 0\.0+\b(?!\d)", told)


def test_pairs_have_no_p_under_a_model_that_does_not_differ() -> None:
    told = lines(found(SECTION_9), None)
    first, second = (place for place, line in enumerate(told) if line.startswith("pair "))
    assert "0.0003" in told[first + 1]
    assert told[second + 1].split()[5] == "-"


def test_lines_fit_the_terminal_except_tables() -> None:
    told = lines(found(SECTION_9), 60)
    prose = [line for line in told if "  " not in line]
    assert max(map(len, prose)) <= 60


def test_every_verdict_has_words() -> None:
    assert all(verdict(name) != name or name == "identical" for name in VERDICTS)


def test_the_verdict_stands_beside_the_model() -> None:
    rows = [
        {"region": region, "model_id": "m", "question_id": None, "status": "completed", "output": {"response": "4"}}
        for region in ("US", "EU")
    ]
    snapshot = Snapshot({"id": "j", "status": "completed", "job": {}}, rows)
    model = SECTION_9["models"][0]
    question = model["questions"][0] | {"question_id": "prompt", "verdict": "cannot_tell"}
    document = found(SECTION_9 | {"models": [model | {"questions": [question]}]})
    assert "m: cannot tell" in side_by_side(snapshot, 80, verdicts=document.verdicts(["m"]))
    assert "m" in side_by_side(snapshot, 80, verdicts=document.verdicts(["other"]))


def test_a_model_can_not_steer_the_terminal() -> None:
    model = SECTION_9["models"][0] | {"model_id": "m\x1b[2J"}
    told = "\n".join(lines(found(SECTION_9 | {"models": [model]}), 100))
    assert "\x1b" not in told


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([["a", "b"], ["北京", "c"]]) == ["a     b", "北京  c"]
    assert aligned([]) == []


# Computing it again.


def test_a_comparison_computed_again_is_equal() -> None:
    export = exported(runs=3)
    assert differences(export, json.loads(json.dumps(analysed(export)))) == []


def test_each_number_that_is_different_is_named() -> None:
    export = exported()
    document = analysed(export)
    document["models"][0]["withheld"]["p"] = 0.5
    document["models"][0]["questions"][0]["verdict"] = "identical"
    document["design"]["surprise"] = 1
    del document["labels"]["human"]
    told = differences(export, document)
    assert len(told) == 4
    assert any(line.startswith("models[0].withheld.p: 0.5 in the comparison, ") for line in told)
    assert "design.surprise: only in the comparison" in told
    assert "labels.human: only computed here" in told


def test_another_answer_gives_another_input() -> None:
    export = exported()
    document = analysed(export)
    export["executions"][0]["output"]["response"] += " Or five."
    assert any(line.startswith("input_sha256: ") for line in differences(export, document))


def test_what_can_not_be_computed_here_is_said() -> None:
    export = exported()
    document = analysed(export)
    with pytest.raises(NotComparable, match="this release computes"):
        differences(export, document | {"method": "beacon-compare/9"})
    with pytest.raises(NotComparable, match="a call twice"):
        differences(export | {"executions": export["executions"] * 2}, document)
    with pytest.raises(NotComparable, match="KeyError"):
        differences(export | {"conditions": [{}]}, document)
