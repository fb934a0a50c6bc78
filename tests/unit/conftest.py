"""Fixtures of the tests of the `beacon` command without a stack."""

import json
from pathlib import Path

import pytest

from tests.command_line import JOB


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
