"""Whatever the product imports stands in pyproject.toml: what is there only because another package needs it may go."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OURS = {
    "outbox_publisher",
    "runner_analyst",
    "runner_api",
    "runner_cli",
    "runner_core",
    "runner_queue",
    "runner_worker",
}
ELSEWHERE = {"xllamacpp"}  # of the demo's language model, which has an environment of its own


def imported() -> set[str]:
    """The top-level packages that the product's modules import, but for ours and the standard library's."""
    found = set()
    for path in (path for package in OURS for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - OURS - ELSEWHERE - set(sys.stdlib_module_names)


def test_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["semantic"]]
    declared = {re.split(r"[\[=;<> ]", line)[0].lower().replace("-", "_") for line in lines}
    providers = packages_distributions()
    missing = {
        name for name in imported() if not declared & {p.lower().replace("-", "_") for p in providers.get(name, [name])}
    }
    assert not missing
