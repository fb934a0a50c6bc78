"""Computes a job's comparison from its material: the whole method, without I/O."""

from typing import Any

from runner_core.comparison import METHOD
from runner_core.comparison.material import Material

RULES = "refusal-rules/2"
METHOD_ID = f"{METHOD}+{RULES}"


def analyse(material: Material) -> dict[str, Any]:
    """Return the result of an analysis: equal material gives equal bytes of JSON, on every machine.

    `job_id`, `state`, `computed_at` and `job_version` are not in the result.
    """
    return {"method": METHOD_ID, "input_sha256": material.sha256(), "models": []}
