"""Read a job through the API, once or until the job has ended."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from runner_cli.client import Api, as_argument, job_path
from runner_cli.exits import CommandError, Exit
from runner_cli.shapes import is_job
from runner_core.statuses import ENDED, in_order, verdict

LONG_POLL_SECONDS = 20
PAUSE_SECONDS = 0.4  # between two looks at an API that does not wait


class TimedOut(CommandError):
    """The job has not ended in time; it goes on."""

    exit = Exit.TIMED_OUT


@dataclass(frozen=True)
class Snapshot:
    """A job as GET /jobs/{id} gave it, and its rows: one per (region, model, question, run)."""

    job: dict[str, Any]
    rows: list[dict[str, Any]]

    @property
    def id(self) -> str:
        return str(self.job["id"])

    @property
    def status(self) -> str:
        return str(self.job["status"])

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def verdict(self) -> str:
        """The job's own status, or `partial` where it completed with less than was asked for."""
        return verdict(self.status, (self.job.get("cross_region") or {}).get("status"), self.failed_units)

    @property
    def name(self) -> str:
        """The benchmark's name, as lists show it; empty where the API does not tell it."""
        return str(self.job.get("name") or "")

    @property
    def failed_units(self) -> int:
        return int((self.job.get("progress") or {}).get("failed") or 0)

    @property
    def regions(self) -> list[str]:
        """The planned regions: ours in their usual order, then others."""
        return in_order({str(row["region"]) for row in self.rows})

    @property
    def models(self) -> list[str]:
        """The planned models, in the order of the job where it names them."""
        return _ordered({str(row["model_id"]) for row in self.rows}, self._spec_models())

    @property
    def questions(self) -> list[str]:
        """The questions' ids, in the order of the job where it names them; [""] for a job without any."""
        return _ordered({str(row.get("question_id") or "") for row in self.rows}, list(self._asked()))

    def title(self, question: str) -> str:
        """A question as its sender wrote it: an id of the catalogue, or the text that was asked."""
        return self._asked().get(question, question)

    def cells(self, model: str, question: str) -> dict[str, list[dict[str, Any]]]:
        """The rows of one question of one model, by region, each region's in the order of its runs."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(self.rows, key=lambda row: row.get("run_no") or 1):
            if row["model_id"] == model and (row.get("question_id") or "") == question:
                found.setdefault(row["region"], []).append(row)
        return found

    @property
    def _spec(self) -> dict[str, Any]:
        """The job as its sender wrote it."""
        return self.job.get("job") or {}

    def _asked(self) -> dict[str, str]:
        """The job's questions by the id that their answers carry, in its order; a text's is made from its hash."""
        found = {str(row.get("question_id") or "") for row in self.rows}
        asked = [str(question) for question in _listed(self._spec.get("questions"))]
        return {text if text in found else f"text-{sha256(text.encode()).hexdigest()[:16]}": text for text in asked}

    def _spec_models(self) -> list[str]:
        metadata = self._spec.get("metadata")
        inner = metadata.get("models") if isinstance(metadata, dict) else None
        named = _listed(self._spec.get("models")) or _listed(inner)
        return [str(model.get("id") if isinstance(model, dict) else model) for model in named]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _ordered(found: set[str], wanted: list[str]) -> list[str]:
    first = [name for name in dict.fromkeys(wanted) if name in found]
    return first + sorted(found - set(first))


def look(api: Api, job_id: str) -> Snapshot:
    """Read the job now. Raises Unreachable, Refused."""
    return _snapshot(api.job(job_id, is_job, include="executions"))


def follow(api: Api, job_id: str, *, every: float | None = None, timeout: float | None = None) -> Iterator[Snapshot]:
    """Yield the job now and whenever it has changed, until it has ended.

    The API is asked to wait for a change, at most `every` seconds at a time: an answer of an unfinished model does not
    change the job's version, and a progress bar must show such answers too. Raises TimedOut after `timeout`
    seconds, Unreachable, Refused.
    """
    path, etag, deadline = job_path(job_id), "", None if timeout is None else time.monotonic() + timeout
    while True:
        began = time.monotonic()
        left = LONG_POLL_SECONDS if deadline is None else max(0.0, min(LONG_POLL_SECONDS, deadline - began))
        query = (
            {"include": "executions"} if not etag else {"include": "executions", "wait": int(min(left, every or left))}
        )
        reply = api.ask("GET", path, is_job, query=query, headers={"If-None-Match": etag} if etag else None)
        if reply.status != 304:
            etag = reply.etag
            snapshot = _snapshot(reply.body)
            yield snapshot
            if snapshot.has_ended:
                return
        if deadline is not None and time.monotonic() >= deadline:
            raise TimedOut(
                f"job {job_id} has not ended within {timeout:.0f} s; it goes on, "
                f"and `beacon explain {as_argument(job_id)}` says why"
            )
        time.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))


def _snapshot(document: dict[str, Any]) -> Snapshot:
    return Snapshot(document, document.get("executions") or [])
