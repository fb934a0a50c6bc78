"""The comparison by command against a real stack: waited for, computed again, exported, and changed by a label."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner_cli.exits import Exit
from runner_cli.local import Local

REGIONS = """
default_model = "m"
[questions]
q1 = "What is it?"
q2 = "Why is it?"
[regions.US]
system_prompt = "Answer."
[regions.EU]
system_prompt = "Answer readers in Europe."
[[providers]]
id = "us"
region = "US"
kind = "sandbox"
models = { m = "m" }
options = { vary = 0.5 }
[[providers]]
id = "eu"
region = "EU"
kind = "sandbox"
models = { m = "m" }
options = { vary = 0.5 }
"""
READ_TOKEN = "r" * 40


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., Local], tmp_path_factory: pytest.TempPathFactory) -> Local:
    """Two regions with prompts of their own, and an API that only who has a token may read."""
    path = tmp_path_factory.mktemp("regions") / "regions.toml"
    path.write_text(REGIONS)
    return shared_stack(env={"REGIONS_FILE": str(path), "READ_TOKENS": f"reader:{READ_TOKEN}"})


@pytest.fixture
def beacon(local: Local, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a command as somebody who uses this stack from elsewhere."""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_URL")} | {
        "BEACON_URL": local.api_url,
        "BEACON_KEY": str(local.signing_key),
        "BEACON_TOKEN": local.admin_token,
        "BEACON_HOME": str(tmp_path / "no-home"),
    }

    def run(*arguments: str, stdin: str | None = None, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "runner_cli", *arguments]
        return subprocess.run(
            command, env=env | more, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def said(done: "subprocess.CompletedProcess[str]", exit_code: int = 0) -> str:
    """What a command printed, when it ended as it should."""
    assert done.returncode == exit_code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_comparison_from_the_job_to_the_stranger(beacon: Any, tmp_path: Path) -> None:
    job = {
        "id": "job-1",
        "version": "v1",
        "benchmark": {"name": "b", "container": {"image": "i"}, "input": {"hash": "sha256:placeholder"}},
        "constraints": {"regions": ["US", "EU"], "min_regions": 2},
        "questions": ["q1", "q2"],
        "models": ["m"],
        "runs": 3,
    }
    said(beacon("submit", stdin=json.dumps(job)))
    told = said(beacon("analyse", "job-1", "--wait", "--timeout", "60s"))
    assert told.startswith("Caution: The regions were asked with different system prompts")
    before = json.loads(said(beacon("analyse", "job-1", "--json")))

    # Everything is computed again: here, by a reader, and by a stranger without any of the product's code.
    checked = beacon("analyse", "job-1", "--check", "--export", str(tmp_path / "files"), BEACON_TOKEN=READ_TOKEN)
    assert said(checked) == told
    assert checked.stderr.endswith("Computed again here from the job's export: everything is equal.\n")
    for name, column in (("compare.csv", "job_id,"), ("analysis.csv", "level,")):
        assert (tmp_path / "files" / name).read_text("utf-8-sig").startswith(column)
    files = [str(tmp_path / "files" / name) for name in ("recompute.py", "compare.json", "analysis.json")]
    said(subprocess.run([sys.executable, "-I", "-S", *files], text=True, capture_output=True, check=False))
    assert beacon("analyse", "job-1", BEACON_TOKEN="").returncode == Exit.REFUSED

    compared = said(beacon("compare", "job-1"))
    assert compared.startswith("Caution: ")
    assert before["headline"]["text"] in compared

    # A person's label makes another state: it is compared anew, and the sample goes on where it was left.
    labelled = said(beacon("label", "job-1", stdin="h for the test\nq\n"))
    assert labelled.startswith("0 of 12 answers of the sample have a label.")
    assert "people and detector: not measured here (n = 1;" in labelled
    said(beacon("analyse", "job-1", "--wait", "--timeout", "60s", "--check"))
    after = json.loads(said(beacon("analyse", "job-1", "--json")))
    assert (before["labels"]["human"], after["labels"]["human"]) == (0, 1)
    assert after["label_id"] > before["label_id"]
    assert after["input_sha256"] != before["input_sha256"]
    assert said(beacon("label", "job-1", stdin="")).startswith("1 of 12 answers of the sample have a label.")
    assert beacon("label", "job-1", BEACON_TOKEN=READ_TOKEN, stdin="a\n").returncode == Exit.REFUSED
