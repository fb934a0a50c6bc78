"""`beacon demo` where its language model can't run: from an installation that is not a checkout."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner_cli.child import end
from runner_cli.exits import Exit

# The model's environment is made by ./beacon, which is looked for beside the package.
CODE = """
import functools, os, pathlib, sys
from runner_cli import demo, demo_model
from runner_cli.__main__ import main
demo_model.ROOT = pathlib.Path("/nonexistent")
if "ENDLESS" in os.environ:  # two regions are not served: the job is still there when the signal comes
    demo.running_stack = functools.partial(demo.running_stack, counts={"worker_eu": 0, "worker_asia": 0})
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(home: Path) -> Path:
    """Where the demo makes its home, which must be gone afterwards."""
    return home


def demo(folder: Path, *arguments: str, **more: str) -> "subprocess.Popen[str]":
    # An operator's settings must not reach the demo's own stack.
    env = os.environ | {
        "TMPDIR": str(folder),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none",
        "TRUST_ENFORCE": "x",
        **more,
    }
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "demo", *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left(folder: Path) -> list[str]:
    """Files of the demo, and processes that work in its home or were given it."""
    found = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "cmdline").read_text() + (process / "environ").read_text()
        except OSError:
            continue
        if str(folder) in seen:
            found.append(process.name)
    return found


def test_it_says_that_it_simulates_and_leaves_nothing(servers: object, folder: Path) -> None:
    with demo(folder, "--json") as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    shown = json.loads(out)
    assert shown["job"]["status"] == "completed"
    assert shown["label"].startswith("Every answer is simulated, because")
    assert err.startswith(shown["label"])
    assert set(shown["verify"].values()) == {0}
    rows = shown["job"]["executions"]
    assert len(rows) == 12
    assert all(row["output"]["simulated"] for row in rows)
    refused = [(row["region"], row["model_id"], row["question_id"]) for row in rows if row["output"]["refused"]]
    assert refused == [("ASIA", "sandbox-refuser", "greatest_invention")]
    headline = shown["analysis"]["headline"]
    assert headline["kind"] == "not_enough"
    assert headline["text"].startswith("Not enough evidence: one run of each question.")
    assert [caution["code"] for caution in shown["analysis"]["cautions"]] == ["system_prompts_differ", "simulated"]
    assert left(folder) == []


def test_it_can_insist_on_the_model(folder: Path) -> None:
    with demo(folder, "--require-model") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (Exit.FAILED, "")
    assert err.startswith("beacon demo: the language model can't run here: ")
    assert left(folder) == []


@pytest.mark.parametrize("moment", ["Starting PostgreSQL", "The API answers", "Signed and submitted"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stops_everything(servers: object, folder: Path, moment: str, sign: signal.Signals) -> None:
    with demo(folder, ENDLESS="1") as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if moment in line:
                    break
            process.send_signal(sign)
            rest = process.stderr.read()
        finally:
            end(process, (signal.SIGTERM, 30.0))  # type: ignore[arg-type]
    assert process.returncode == Exit.INTERRUPTED
    assert rest.endswith("Stopped; nothing is left running.\n")
    assert "Traceback" not in rest
    assert left(folder) == []
