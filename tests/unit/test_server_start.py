"""The garbage collector is off while a process imports its modules, and on afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import gc
from runner_core.server_start import begin
begin()
assert not gc.isenabled()
from runner_core.collector import THRESHOLD, freeze_gc
freeze_gc()
assert gc.isenabled() and gc.get_threshold()[0] == THRESHOLD and gc.get_freeze_count() > 1000
"""


def test_the_collector_is_off_until_the_modules_are_there() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, cwd=ROOT)


@pytest.mark.parametrize("folder", ["outbox_publisher", "runner_analyst", "runner_api", "runner_worker"])
def test_whoever_begins_without_it_turns_it_on(folder: str) -> None:
    assert "    begin()\n" in (ROOT / folder / "__main__.py").read_text()
    assert any("    freeze_gc()" in path.read_text() for path in (ROOT / folder).rglob("*.py"))
