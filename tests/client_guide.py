"""The code of docs/clients.md, by its marks, and how each language runs."""

import re
import sys
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parent.parent / "docs/clients.md").read_text()
LANGUAGES = {"python": ([sys.executable], ".py"), "javascript": (["node"], ".mjs")}
EACH_LANGUAGE = ["python", pytest.param("javascript", marks=pytest.mark.needs("node"))]


def code(name: str) -> str:
    """The block of the guide that is marked with this name."""
    found = re.search(rf"<!-- run: {name} -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL)
    assert found, name
    return found[1]
