"""What holds for every file: no import circle in the product, no long file, no test that reaches into private names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = (
    "outbox_publisher",
    "runner_analyst",
    "runner_api",
    "runner_cli",
    "runner_core",
    "runner_queue",
    "runner_worker",
)
MAX_PRODUCT_LINES, MAX_TEST_LINES = 250, 300
PUBLIC = {("os", "_exit"), ("parts", "_replace")}  # documented, whatever their names look like


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for package in PRODUCT for path in (ROOT / package).rglob("*.py")}


def imported_by(module: str) -> Iterator[str]:
    """Yield the product's modules that a module imports, also inside its functions."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in FILES else node.module


def circles() -> list[set[str]]:
    """Return the groups of modules that reach each other by imports."""
    graph = {module: {name for name in imported_by(module) if name in FILES} for module in FILES}
    reach: dict[str, set[str]] = {}
    for module in graph:
        found: set[str] = set()
        todo = set(graph[module])
        while todo:
            found.add(name := todo.pop())
            todo |= graph[name] - found
        reach[module] = found
    groups = [
        {other for other in reach[module] if module in reach[other]} for module in graph if module in reach[module]
    ]
    return [group for number, group in enumerate(groups) if group not in groups[:number]]


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


@pytest.mark.parametrize(("folders", "limit"), [(PRODUCT, MAX_PRODUCT_LINES), (("tests",), MAX_TEST_LINES)])
def test_no_file_is_too_long(folders: tuple[str, ...], limit: int) -> None:
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    over = {str(path.relative_to(ROOT)) for path in paths if len(path.read_text().splitlines()) > limit}
    assert over == set()


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def reached_into(path: Path) -> Iterator[str]:
    """Yield the private names of other modules that a test reads, imports or replaces."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if private(alias.name))
        if isinstance(node, ast.Attribute) and private(node.attr):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in ("self", "cls") and (owner, node.attr) not in PUBLIC:
                yield node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = [value.value for value in node.args[:2] if isinstance(value, ast.Constant)]
            yield from (text for text in texts if private(str(text).rpartition(".")[2]))


def test_no_test_reaches_into_private_names() -> None:
    """What a test needs to see has a public function or a snapshot; else each change inside breaks a test."""
    found = {(path.name, name) for path in (ROOT / "tests").rglob("*.py") for name in reached_into(path)}
    assert found == {("reference.py", "_labelnames")}, "docs/pinned.md says why it is read"
