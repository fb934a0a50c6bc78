"""The code of docs/clients.md as it stands there: what it signs is accepted."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner_core.keys import PrivateKey
from runner_core.signing import FORMS, canonical, verify
from runner_core.signing import signed_object as ours

GUIDE = (Path(__file__).parent.parent.parent / "docs/clients.md").read_text()


def code(name: str) -> str:
    """The block of the guide that is marked with this name."""
    found = re.search(rf"<!-- run: {name} -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    PrivateKey.generate().save(tmp_path / "key.pem")
    return tmp_path / "key.pem"


@pytest.mark.parametrize(
    ("language", "command", "suffix"),
    [
        ("python", [sys.executable], ".py"),
        pytest.param("javascript", ["node"], ".mjs", marks=pytest.mark.needs("node")),
    ],
)
def test_what_the_guide_signs_verifies(
    language: str, command: list[str], suffix: str, key: Path, tmp_path: Path
) -> None:
    program = (tmp_path / "client").with_suffix(suffix)
    program.write_text(code(language))
    said = subprocess.run([*command, str(program), str(key)], capture_output=True, text=True, check=True).stdout
    job = json.loads(said)
    assert verify(job).form == "jcs"
    assert job["public_key"] == PrivateKey.load(key).public_key


@pytest.mark.parametrize("form", FORMS)
def test_the_guides_forms_are_those_that_the_api_tries(form: str) -> None:
    known: dict[str, Any] = {}
    exec(code("forms"), known)  # noqa: S102 - it is our own page that is tried
    job = {
        "id": "a", "created_at": "b", "signature": "c", "public_key": "d", "kept": False, "zero": 0, "none": None,
        "deep": {"empty": {"": ""}, "signature": "", "list": [0, None, {"a": None}]}, "text": "ü",
    }  # fmt: skip
    assert canonical(known["signed_object"](job, form)) == canonical(ours(job, form))
