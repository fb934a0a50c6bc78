"""The example that an empty list of jobs shows: a job that this deployment's regions file can run."""

import json

from runner_core.regions import Catalogue

EOF = "JSON"


def commands(catalogue: Catalogue) -> str:
    """Return shell commands that write a job to a file and submit it, from the checkout's folder."""
    regions = list(catalogue.models.get(catalogue.default_model, catalogue.regions))
    job = {
        "version": "v1",
        "benchmark": {"name": "first", "container": {"image": "none"}, "input": {"hash": "sha256:placeholder"}},
        "questions": [*list(catalogue.questions)[:1], "What is the capital of Peru?"],
        "models": [catalogue.default_model],
        "constraints": {"regions": regions},
    }
    return f"cat > job.json <<'{EOF}'\n{json.dumps(job, indent=1)}\n{EOF}\n.venv/bin/beacon submit job.json --wait"
