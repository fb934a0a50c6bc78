"""docs/reference.md says what the code says."""

import ast
import re
from pathlib import Path

from runner_api.contract.error_codes import ERROR_CODES
from runner_api.contract.operations import OPERATIONS
from runner_api.http.problems import STATUSES
from runner_core.error_detail import UNASKED
from runner_worker.providers.outcomes import FAULTS
from tests.reference import PAGE, filled

ROOT = Path(__file__).parents[2]
TEXT = PAGE.read_text()
# Codes that an error is given by other ways than by a class or a table, with their statuses.
FRAMEWORK = {"method_not_allowed": 405, "internal_error": 500}
ERRORS = {"Rejected", "SpecError", "SignatureError", "NotFound", "Conflict", "LoginNeeded"}


def rows(name: str) -> list[tuple[str, ...]]:
    """The cells of a marked table, without its head."""
    return cells(TEXT.partition(f"<!-- {name}: ")[2].partition(f"<!-- /{name} -->")[0])


def cells(table: str) -> list[tuple[str, ...]]:
    """The cells of a table's rows, without its head."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")) for line in lines[2:]]


def raised() -> set[str]:
    """The codes that the product names where it raises a refusal."""
    found = set()
    for path in (path for package in ("runner_api", "runner_core") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
                code = node.args[0]
                if isinstance(code, ast.Constant) and isinstance(code.value, str) and " " not in code.value:
                    found.add(code.value.partition(":")[0])
    return found


def test_each_error_of_the_api_has_its_row() -> None:
    written = {code: int(status) for status, code, _ in rows("api errors")}
    server = (ROOT / "runner_api/server").rglob("*.py")
    early = {
        code: int(status) for path in server for status, code in re.findall(r'\((\d{3}), "(\w+)", "', path.read_text())
    }
    assert len(early) > 5
    assert written == STATUSES | FRAMEWORK | early
    assert rows("api errors") == sorted((str(status), code, means) for code, (status, means) in ERROR_CODES.items())
    assert len(raised()) > 10
    assert raised() <= set(written)
    assert rows("api errors") == sorted(rows("api errors"))


def test_each_outcome_of_a_call_has_its_row() -> None:
    table = TEXT.partition("<!-- generated: execution errors -->")[2].partition("<!-- /")[0]
    written = {row[0]: row[1:-1] for row in cells(table)}
    assert set(written) == {*FAULTS, *UNASKED}
    assert list(written) == sorted(written)
    for code, fault in FAULTS.items():
        tries = "all" if fault.tries is None else str(fault.tries)
        passes = "yes" if fault.transient else ""
        assert written[code] == (fault.kind, fault.stage, passes, tries, fault.paid, fault.breaker)


def test_error_codes_metrics_commands_and_exit_codes_are_those_of_the_code() -> None:
    assert filled(TEXT) == TEXT, "`make reference` writes them"


def test_the_guide_for_clients_names_codes_that_the_api_has() -> None:
    table = (ROOT / "docs/clients.md").read_text().partition("## Submit")[2].partition("\n\nA request")[0]
    named = re.findall(r"^\| (\d{3}) `(\w+)` \|", table, re.MULTILINE)
    assert len(named) >= 4
    assert set(named) <= {(status, code) for status, code, _ in rows("api errors")}
    told = {
        int(status) for row in re.findall(r"^\| (\d{3}(?:, \d{3})*)", table, re.MULTILINE) for status in row.split(", ")
    }
    operation = OPERATIONS["api.submissions.post_job"]
    assert told == {*operation.answers, *operation.errors}
