"""The example of each operation, as tests/integration/contract_examples.py has played it against the API."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "examples.json"
SIGN_JOB = (Path(__file__).parent / "sign_job.txt").read_text()


@cache
def examples() -> dict[str, Any]:
    """Return the examples by `METHOD path`: {"request": {"path", "body"?}, "response": {"status", "type", "body"}}."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def add_examples(described: dict[str, Any], method: str, path: str) -> None:
    """Add an operation's example to its description in OpenAPI, where there is one."""
    example = examples().get(f"{method} {path}")
    if example is None:
        return
    if "body" in example["request"]:
        described["requestBody"]["content"]["application/json"]["example"] = example["request"]["body"]
    response = example["response"]
    described["responses"][str(response["status"])]["content"][response["type"]]["example"] = response["body"]
