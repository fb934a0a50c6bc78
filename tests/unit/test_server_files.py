"""Where the files of the tests' servers are, and what becomes of those that a killed run has left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import server_files


def test_the_files_of_a_run_that_has_ended_are_removed_and_no_others(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    orphan = tmp_path / f"{server_files.PREFIX}{ended.pid}-left"
    kept = [tmp_path / f"{server_files.PREFIX}{os.getpid()}-mine", tmp_path / f"other-{ended.pid}-left"]
    for folder in [orphan, *kept]:
        (folder / "postgres").mkdir(parents=True)
    server_files.remove_orphans(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_small_or_missing_memory_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_files, "ROOM", 1 << 60)
    assert not server_files.has_room(tmp_path)
    monkeypatch.setattr(server_files, "ROOM", 0)
    assert not server_files.has_room(tmp_path / "missing")
