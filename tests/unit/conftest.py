"""Fixtures of the tests of the `beacon` command without a stack, and of kinds of provider."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import JOB
from tests.foreign_kinds import installed as installed_in
from tests.foreign_provider import Install


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack, key or token of this machine."""
    for name in ("BEACON_URL", "BEACON_KEY", "BEACON_TOKEN", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BEACON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(JOB))
    return path


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Install]:
    """Installs a distribution that this process then finds."""
    with contextlib.ExitStack() as stack:

        def build(name: str, module: str, points: dict[str, str], version: str = "1.0") -> Path:
            stack.enter_context(installed_in(tmp_path, name, module, points, version))
            return tmp_path

        yield build
