"""Finds the job that is meant by the beginning of an id, such as a list shows it."""

import re

from runner_cli.client import Api
from runner_cli.exits import CommandError, UsageError
from runner_cli.shapes import JOBS
from runner_core.job_ids import is_made

_BEGINNING = re.compile(r"[A-Za-z0-9._:-]{4,254}", re.ASCII)
MOST = 3  # ids that an error names


def whole(api: Api, text: str) -> str | None:
    """Return the id of the one job whose id begins so, also without its `job-`; None if there is none.

    Raises UsageError if there are several.
    """
    if is_made(text) or not _BEGINNING.fullmatch(text):
        return None
    try:
        found = api.get("/api/v1/jobs", JOBS, q=text, limit=50)["jobs"]
    except CommandError:  # the refusal of the id itself says more
        return None
    ids = [job["id"] for job in found if job["id"].startswith((text, f"job-{text.lower()}"))]
    if len(ids) > 1:
        raise UsageError(
            f"{len(ids) if len(ids) < 50 else 'many'} jobs begin with {text}: write more of the id, "
            f"such as {', '.join(ids[:MOST])}"
        )
    return ids[0] if ids else None
