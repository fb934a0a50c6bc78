"""Computes a job's comparison from its material: the whole method `beacon-compare/1`, without I/O."""

from typing import Any

from runner_core.comparison import METHOD
from runner_core.comparison.cached import repeated
from runner_core.comparison.cells import cells_of
from runner_core.comparison.circumstances import cautions
from runner_core.comparison.corrected import corrected
from runner_core.comparison.design import design, labels
from runner_core.comparison.headline import headline
from runner_core.comparison.material import Material
from runner_core.comparison.model_numbers import model_numbers
from runner_core.comparison.question_numbers import question_numbers
from runner_core.comparison.tested import tests_of
from runner_core.refusals import RULES

METHOD_ID = f"{METHOD}+{RULES}"

__all__ = ["METHOD", "METHOD_ID", "analyse", "method_id"]


def method_id(detector: str) -> str:
    """Return the id of the method whose categories come from these stages; METHOD_ID is that of the rules alone."""
    return f"{METHOD}+{detector}"


def analyse(material: Material) -> dict[str, Any]:
    """Return the result of an analysis as JSON: equal material gives equal bytes, on every machine.

    `job_id`, `state`, `computed_at` and `job_version` are not in the result.
    """
    cells = cells_of(material)
    tested = [tests_of(material, model, cells[model.id]) for model in material.models]
    families = corrected(tested)
    result = {
        "method": method_id(material.detector),
        "input_sha256": material.sha256(),
        "cautions": cautions(material, cells),
        "design": design(material),
        "labels": labels(material),
        "models": [
            model_numbers(material, one, families)
            | {"questions": [question_numbers(material, one, families, key) for key in material.questions]}
            for one in tested
        ],
    }
    return result | {"headline": headline(result, repeated(material, tested))}
