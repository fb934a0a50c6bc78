"""Reads what a client has kept of its jobs: the API's answers to submissions, job files, and receipts of executions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner_cli.exits import UsageError
from runner_cli.terminal import remark
from runner_core.errors import Rejected
from runner_core.strict_json import parse_json

ENDINGS = (".json", ".jsonl")


class NoDocument(UsageError):
    """A text is no JSON object."""


@dataclass(frozen=True)
class Kept:
    """What one document says: there is this job, and, if the document is a receipt, this execution.

    `region`, `model_id`, `signature` and `attempt` are of the receipt, and None for a document that names a job only.
    """

    file: str
    job_id: str
    region: str | None = None
    model_id: str | None = None
    signature: str | None = None
    attempt: int | None = None


def read_kept(folder: str) -> list[Kept]:
    """Return what the folder's .json files (one document each) and .jsonl files (one document a line) say.

    The last line of a .jsonl file may be torn, because a crash cut it: a remark names it, and it is left out.
    Raises UsageError when the folder can't be read or holds no such file, or, with file and line, when a document is no
    JSON object or names no job.
    """
    try:
        paths = sorted(path for path in Path(folder).iterdir() if path.suffix in ENDINGS)
        kept = [one for path in paths for one in _of_file(path)]
    except OSError as error:
        raise UsageError(f"{error.filename or folder} can't be read: {error.strerror}") from None
    if not kept:
        raise UsageError(f"{folder} holds no answer, job or receipt in a file *.json or *.jsonl")
    return kept


def _of_file(path: Path) -> Iterator[Kept]:
    raw = path.read_bytes()
    if path.suffix == ".json":
        yield _of_text(path, str(path), raw)
        return
    lines = raw.rstrip().splitlines()
    for number, text in enumerate(lines, 1):
        where = f"{path}, line {number}"
        if not text.strip():
            continue
        try:
            yield _of_text(path, where, text)
        except NoDocument as error:
            if number < len(lines):
                raise
            remark(f"{error} As the last line it may be torn, and is left out.")


def _of_text(path: Path, where: str, text: bytes) -> Kept:
    """Return what a document says. Raises NoDocument, UsageError."""
    try:
        document = parse_json(text)
    except Rejected as error:
        raise NoDocument(f"{where} is no JSON object: {error.detail}") from None
    return _of_document(path.name, where, document)


def _of_document(file: str, where: str, document: dict[str, Any]) -> Kept:
    """An execution's details have the receipt as a member; a receipt alone is told from a signed job by its region."""
    found = document["receipt"] if isinstance(document.get("receipt"), dict) else document
    job_id = found.get("job_id") or found.get("id") or found.get("jobspec_id")
    if not isinstance(job_id, str):
        raise UsageError(f"{where} names no job: it has no job_id and no id")
    receipt = {name: found.get(name) for name in ("region", "model_id", "signature")}
    if not all(isinstance(value, str) for value in receipt.values()):
        return Kept(file, job_id)
    attempt = found.get("attempt")
    return Kept(file, job_id, **receipt, attempt=attempt if isinstance(attempt, int) else None)
