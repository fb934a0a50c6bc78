"""The demo's job, and how it is told."""

from typing import Any

from runner_cli.demo_model import MODEL_ID
from runner_core.statuses import FIRST_REGIONS

REFUSER = "sandbox-refuser"
MODELS = [MODEL_ID, REFUSER]
QUESTIONS = ["geography_basic", "greatest_invention"]
TIMEOUT_SECONDS = 180
REAL = f"{MODEL_ID} is a real but very small demonstration model: do not rely on its answers. {REFUSER} is simulated."


def demo_job() -> dict[str, Any]:
    """Two questions, two models, three regions: twelve answers. Not signed yet."""
    return {
        "version": "v1",
        "benchmark": {
            "name": "demo",
            "description": "The same questions to the same models in three regions",
            "container": {"image": "beacon-runner/demo"},
            "input": {"hash": "sha256:placeholder"},
        },
        "constraints": {
            "regions": list(FIRST_REGIONS),
            "min_regions": 2,
            "timeout": TIMEOUT_SECONDS * 1_000_000_000,
            "provider_timeout": TIMEOUT_SECONDS * 500_000_000,
        },
        "questions": QUESTIONS,
        "models": MODELS,
        "metadata": {"created_by": "beacon demo"},
    }


def simulated(reason: str) -> str:
    """What is said instead of REAL when the model can't run."""
    return f"Every answer is simulated, because the demonstration model can't run here: {reason}"
