"""docs/recompute.py on made-up exports: it needs nothing of the product, and refuses a falsified number."""

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.comparison_exports import made_up
from tests.recompute_script import SCRIPT, analysis, expected, loaded

script = loaded()
EXPORTS = {
    "one run": {"runs": 1, "questions": 5},
    "one region": {"regions": 1, "questions": 2},
    "two models, missing cells, facts, controls": {
        "models": 2,
        "questions": 3,
        "missing": 0.3,
        "facts": True,
        "controls": 1,
    },
    "ten runs of two regions": {"regions": 2, "runs": 10, "questions": 1},
    "eight regions of one run": {"regions": 8, "runs": 1, "questions": 3, "missing": 0.0},
    "eight regions, missing cells": {"regions": 8, "runs": 1, "questions": 3, "missing": 0.3},
    "all withheld": {"withheld": 1.0, "questions": 2},
    "nothing answered": {"missing": 2.0, "questions": 2},
    "only controls": {"questions": 2, "controls": 2},
}


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script as a stranger would: isolated, so that no package is found."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def written(folder: Path, **documents: Any) -> list[Path]:
    """Write each document as a JSON file, and return the files."""
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return [folder / f"{name}.json" for name in documents]


def places(told: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each number, word and truth value of a document."""
    if isinstance(told, dict | list):
        for key, value in told.items() if isinstance(told, dict) else enumerate(told):
            yield from places(value, (*at, key))
    else:
        yield at


def with_another(document: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    """Return the document with another value at one place."""
    changed: Any = copy.deepcopy(document)
    where = changed
    for key in place[:-1]:
        where = where[key]
    old = where[place[-1]]
    if old is None or isinstance(old, str | bool):
        where[place[-1]] = 0.5 if old is None else not old if isinstance(old, bool) else f"{old}0"
    else:
        where[place[-1]] = old + (1 if isinstance(old, int) else 2e-9)
    return dict(changed)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_right_analysis(name: str, tmp_path: Path) -> None:
    export = made_up(len(name), **EXPORTS[name])
    done = run(*written(tmp_path, compare=export, analysis=analysis(export)))
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines()[-1].startswith("every number agrees (")


def test_every_falsified_number_is_found() -> None:
    export = made_up(7, questions=2, runs=3, regions=2, missing=0.1, withheld=0.3, facts=True, controls=1)
    right = analysis(export)
    job = script.read_job(export)
    mine = script.recompute(job)
    names = {"state", "method", "model_id", "question_id", "a", "b"}
    tried = [place for place in places(right) if place[-1] not in names]
    assert len(tried) > 100
    for place in tried:
        found = script.compare(mine, with_another(right, place))
        assert [path for path, told, made in found if not script.equal(told, made)], place


def test_a_difference_has_its_path_and_both_numbers(tmp_path: Path) -> None:
    export = made_up(3, questions=2)
    wrong = analysis(export)
    wrong["models"][0]["wording"]["p"] = 0.0123
    wrong["models"][0]["questions"][1]["regions"]["EU"]["n"] += 1
    del wrong["models"][0]["pairs"][0]["points"]
    done = run(*written(tmp_path, compare=export, analysis=wrong))
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].startswith("models[m0].wording.p: the analysis says 0.0123, recomputed ")
    assert lines[1].startswith("models[m0].pairs[ASIA|EU].points: the analysis says nothing, recomputed ")
    assert lines[2].startswith("models[m0].questions[q1].regions[EU].n: the analysis says ")
    assert lines[3].startswith("3 of ")


def test_what_is_not_recomputed_is_named(tmp_path: Path) -> None:
    export = made_up(3, questions=2)
    told = analysis(export) | {"elapsed": {"ms": 5, "note": None}, "headline": {"kind": "none", "text": ""}}
    done = run(*written(tmp_path, compare=export, analysis=told))
    assert done.returncode == 0
    assert "not recomputed, since the export does not decide it: elapsed.ms\n" in done.stdout


@pytest.mark.parametrize("extra", ["pairs", "questions", "models"])
def test_an_entry_too_much_is_a_difference(extra: str) -> None:
    export = made_up(3, questions=2)
    told = analysis(export)
    entries = told["models"] if extra == "models" else told["models"][0][extra]
    entries.append(dict.fromkeys(entries[0], "another"))
    wrong, _, _ = script.check(export, told)
    assert len(wrong) == 1


def test_the_order_of_rows_changes_nothing() -> None:
    export = made_up(11, facts=True, questions=2)
    turned = {**export, "executions": export["executions"][::-1], "questions": export["questions"][::-1]}
    assert expected(export) == expected(turned)


def test_a_call_that_is_not_there_is_an_error_like_one_that_failed() -> None:
    export = made_up(5, missing=0.4, questions=2)
    rows = [row for row in export["executions"] if row["category"]]
    assert len(rows) < len(export["executions"])
    assert expected(export) == expected({**export, "executions": rows})


def test_p_is_never_0_and_one_run_has_none_of_wording() -> None:
    for seed in range(3):
        told = expected(made_up(seed, runs=1, questions=3, withheld=0.5))
        for model in told["models"]:
            assert model["wording"]["p"] is None
            assert all(question["p_wording"] is None for question in model["questions"])
            assert 0 < model["withheld"]["p"] <= 1


def changed(**members: Any) -> dict[str, Any]:
    return {**made_up(1, questions=1, runs=2, missing=0), **members}


ROWS = changed()["executions"]


@pytest.mark.parametrize(
    ("export", "message"),
    [
        ([], "the export has no member 'questions'"),
        (changed(runs=11), "the export has 11 runs; the method is for 1 to 10"),
        (changed(runs=True), "'runs' of the export is True, not of type int"),
        (changed(executions=[*ROWS, ROWS[0]]), "stands twice in the export"),
        (changed(executions=[{**ROWS[0], "region": "MARS"}]), "is not one of those that the export plans"),
        (changed(executions=[{**ROWS[0], "run_no": 3}]), "is not one of those that the export plans"),
        (
            changed(executions=[{**ROWS[0], "category": "shy"}]),
            "has the category 'shy', which the method does not know",
        ),
        (changed(executions=[{"model_id": "m0"}]), "an execution has no member 'region'"),
    ],
)
def test_a_bad_export(export: Any, message: str, tmp_path: Path) -> None:
    done = run(*written(tmp_path, compare=export, analysis={"state": "ready", "method": "beacon-compare/1"}))
    assert (done.stdout, done.returncode) == ("", 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([], "is not an object"),
        ({}, "the analysis has no member 'method'"),
        ({"state": "off"}, "the analysis has no numbers: its state is 'off'"),
        ({"method": "beacon-compare/2+x"}, "this program recomputes 'beacon-compare/1'"),
        ({"method": "beacon-compare/1", "job_id": "another"}, "the analysis of 'another'"),
    ],
)
def test_a_bad_analysis(told: Any, message: str, tmp_path: Path) -> None:
    done = run(*written(tmp_path, compare=changed(), analysis=told))
    assert (done.stdout, done.returncode) == ("", 2)
    assert message in done.stderr


def test_files_that_are_not_json(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"a": NaN}')
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe{")
    (analysed,) = written(tmp_path, analysis={})
    for name, message in (("missing", "can't be read"), ("broken", "NaN"), ("binary", "is not JSON")):
        done = run(tmp_path / f"{name}.json", analysed)
        assert (done.stdout, done.returncode) == ("", 2)
        assert message in done.stderr


def test_help_and_a_missing_argument() -> None:
    assert "exit status: 0" in run("--help").stdout.lower()
    assert run().returncode == 2


def test_the_script_imports_the_standard_library_alone() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names)
