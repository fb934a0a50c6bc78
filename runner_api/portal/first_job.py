"""The steps that an empty list of jobs shows: a job that this deployment's regions file can run, sent and compared."""

import json
from dataclasses import dataclass
from pathlib import Path

from runner_core.regions import Catalogue

CHECKOUT = Path(__file__).parent.parent.parent
COMMAND = "./beacon" if (CHECKOUT / "beacon").exists() else "beacon"
EOF = "JSON"
ID = "first"


@dataclass(frozen=True)
class Step:
    """One thing to do in a terminal. `name` is unique."""

    name: str
    does: str
    command: str


def steps(catalogue: Catalogue) -> list[Step]:
    """Return the three steps: write the job's file, submit it, compare its answers."""
    regions = list(catalogue.models.get(catalogue.default_model, catalogue.regions))
    job = {
        "id": ID,
        "version": "v1",
        "benchmark": {"name": "first", "container": {"image": "none"}, "input": {"hash": "sha256:placeholder"}},
        "questions": [*list(catalogue.questions)[:1], "What is the capital of Peru?"],
        "models": [catalogue.default_model],
        "constraints": {"regions": regions},
    }
    written = f"cat > job.json <<'{EOF}'\n{json.dumps(job, indent=1)}\n{EOF}"
    return [
        Step("write", "Write the job into a file: the questions, the models, the regions.", written),
        Step(
            "submit",
            "Sign it with the key of beacon up, submit it, and watch it end.",
            f"{COMMAND} submit job.json --wait",
        ),
        Step("compare", "Read the answers side by side.", f"{COMMAND} compare {ID}"),
    ]
