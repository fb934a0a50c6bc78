"""A client made of docs/clients.md alone, against a running stack: its job is accepted, and its answers come."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.client_guide import EACH_LANGUAGE, LANGUAGES, code

if TYPE_CHECKING:
    from runner_cli.local import Local


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"]) -> "Local":
    return shared_stack()


@pytest.mark.parametrize("language", EACH_LANGUAGE)
def test_a_client_of_the_guide_gets_its_answers(language: str, local: "Local", tmp_path: Path) -> None:
    command, suffix = LANGUAGES[language]
    program = (tmp_path / "client").with_suffix(suffix)
    program.write_text(code(f"{language} sign") + code(f"{language} client"))
    words = [*command, str(program), str(local.signing_key), local.api_url]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    status, *rows = [line for line in done.stdout.splitlines() if line.startswith(("completed", "US ", "EU "))]
    assert status == "completed"
    assert sorted(row.split()[0] for row in rows) == ["EU", "EU", "US", "US"]
