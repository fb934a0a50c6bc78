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

    The beginning of an id that a client chose is not enough: it may be another id that this client has used.
    Raises UsageError if there are several.
    """
    if is_made(text) or not _BEGINNING.fullmatch(text):
        return None
    try:
        page = api.get("/api/v1/jobs", JOBS, q=text, limit=50)
    except CommandError:  # the refusal of the id itself says more
        return None
    ids = [job["id"] for job in page["jobs"] if job["id"].startswith((text, f"job-{text.lower()}"))]
    if len(ids) > 1 or page.get("next_cursor"):
        raise UsageError(
            f"{'many' if page.get('next_cursor') else len(ids)} jobs begin with {text}: write more of the id"
            + (f", such as {', '.join(ids[:MOST])}" if ids else "")
        )
    return ids[0] if ids and is_made(ids[0]) else None
