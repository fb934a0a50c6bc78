"""docs/pinned.md lists the private names of libraries that the project uses: each must exist, where the page says."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([\w.]+):([\w.]+)` \| `([^`]+)` \| .* \| `([^`]+)` \|$", re.MULTILINE)
TABLE = ROW.findall((ROOT / "docs/pinned.md").read_text())


@pytest.mark.parametrize(("module", "name", "file", "test"), TABLE, ids=[row[1] for row in TABLE])
def test_a_private_name_exists_and_is_used_where_the_page_says(module: str, name: str, file: str, test: str) -> None:
    found = import_module(module)
    *owners, last = name.split(".")
    for owner in owners:
        found = getattr(found, owner)
    assert hasattr(found, last) or f"self.{last}" in inspect.getsource(found)  # type: ignore[arg-type]  # a class
    assert last in (ROOT / file).read_text()
    assert (ROOT / test).is_file()


def test_the_page_lists_names() -> None:
    assert len(TABLE) >= 3
