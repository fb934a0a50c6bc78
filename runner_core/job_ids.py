"""Ids of jobs as people read them: an id that the API made is long, and its beginning is enough to find it."""

import re

_UUID = re.compile(r"job-[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.ASCII)


def short(job_id: str) -> str:
    """Return a job's id for a list: `job-59c549cd` for a `job-` with a UUID, any other id as it is.

    The search and the commands find a job by the beginning of its id.
    """
    return job_id[:12] if is_made(job_id) else job_id


def is_made(job_id: str) -> bool:
    """Return whether the id is a whole one of those that the API makes."""
    return _UUID.fullmatch(job_id) is not None
