"""The method's numbers, recomputed by docs/recompute.py, which shares no code with it: each must be the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, chance, drawn_text, export, section_9

SCRIPT = Path(__file__).parents[2] / "docs/recompute.py"
CATEGORIES = ["answer"] * 6 + ["hard_refusal", "partial_refusal", "deflection", "content_filter", "non_answer", None]
FACTS = {"q0": ["word01|word02", "word5*"], "q1": ["word03"], "q2": ["word07", "word08", "zeta"]}


def ragged(model: str, question: str, region: str, run: int) -> Answered | None:
    """Every category; 5 of 100 calls are missing."""
    if chance(model, question, region, run, "missing") < 0.05:
        return None
    category = CATEGORIES[int(chance(model, question, region, run, "category") * len(CATEGORIES))]
    return category, drawn_text(model, question, region, run, shift=0.3)[:100]


JOBS: dict[str, dict[str, Any]] = {
    "section 9": section_9(),
    "missing cells": export(
        ragged,
        regions=("ASIA", "EU", "US"),
        questions=("q0", "q1", "q2", "q3", "q4"),
        models=("m", "n"),
        runs=4,
        controls=["q1"],
        facts=FACTS,
    ),
    "one run": export(ragged, questions=[f"q{number}" for number in range(8)], models=("m", "n"), runs=1, facts=FACTS),
    "ten runs": export(ragged, runs=10),
    "nothing but controls": export(ragged, questions=("q0", "q1"), runs=3, controls=["q0", "q1"]),
    "eight regions": export(
        ragged, regions=tuple("ABCDEFGH"), questions=("q0", "q1"), runs=2, facts={"q0": FACTS["q0"]}
    ),
}


@pytest.mark.parametrize("name", JOBS)
def test_every_number_is_the_same(name: str, tmp_path: Path) -> None:
    analysis = {"job_id": "job-1", "state": "ready"} | analyse(Material.of_export(JOBS[name]))
    files = [tmp_path / "compare.json", tmp_path / "analysis.json"]
    for file, document in zip(files, (JOBS[name], analysis), strict=True):
        file.write_text(json.dumps(document))
    done = subprocess.run([sys.executable, SCRIPT, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
