"""docs/tutorial.md, tried word by word: each command as it stands there, and each line that it shows."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner_cli.child import free_port
from runner_cli.home import CHECKOUT

TUTORIAL = (CHECKOUT / "docs/tutorial.md").read_text()
UP = "./beacon up"
EXITS = {"./beacon submit job.json": 5}  # every other command succeeds
# What differs from run to run, and what says that an answer is simulated where the model can't run.
VARIES = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", "DATE"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "TIME"),
    (r" *\[simulated\] *", " "),
    (r"http://127\.0\.0\.1:\d+", "URL"),
    (r"\s+", " "),
)


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the page, with the lines that the page shows of its output."""
    found: list[tuple[str, list[str]]] = []
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL):
        if language == "sh":
            found.append((block.rstrip("\n"), []))
        else:
            found[-1][1].extend(block.splitlines())
    return found


def plain(line: str) -> str:
    for pattern, name in VARIES:
        line = re.sub(pattern, name, line)
    return line.strip()


def assert_shown(shown: list[str], output: str) -> None:
    """Each line of the page is a line of the output, in this order; other lines may lie between."""
    rest = iter(plain(line) for line in output.splitlines())
    for line in shown:
        assert plain(line) in rest, f"{line!r} is not in what is left of:\n{output}"


@contextmanager
def up(shown: list[str], env: dict[str, str], folder: Path) -> Iterator[None]:
    """The page's first command, running as in a terminal of its own; Ctrl-C ends it."""
    with subprocess.Popen(
        UP.split(), env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stderr is not None
        try:
            said = []
            for line in command.stderr:
                said.append(line)
                if line.startswith("  database URL"):  # the last of its list
                    break
            assert_shown(shown, "".join(said))
            threading.Thread(target=command.stderr.read, daemon=True).start()
            yield
        finally:
            command.send_signal(signal.SIGINT)
            assert command.wait(60) == 0


def test_the_tutorial_holds_word_by_word(home: Path, servers: object, tmp_path: Path) -> None:
    """With simulated answers: the model is 130 MB, and the demo's own test asks it."""
    (tmp_path / "beacon").symlink_to(CHECKOUT / "beacon")
    env = {name: value for name, value in os.environ.items() if not name.endswith("_URL")} | {
        "BEACON_HOME": str(home),
        "PORT": str(free_port()),
        "METRICS_PORT": "0",
        "REGIONS_FILE": str(CHECKOUT / "regions/sandbox.toml"),
        "ALLOW_SANDBOX": "1",
    }
    (first, shown), *others = steps()
    assert first == UP
    assert len(others) == 9
    with up(shown, env, tmp_path):
        for command, shown in others:
            done = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", command],
                env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == EXITS.get(command, 0), (command, done.stdout)
            assert_shown(shown, done.stdout)


def test_the_page_is_read_to_its_end() -> None:
    assert [command.split("\n")[0] for command, _ in steps()] == [
        UP,
        "cat > job.json <<'JSON'",
        "./beacon submit job.json --wait",
        "./beacon submit job.json",
        "./beacon jobs",
        "./beacon analyse capitals-1 --wait",
        "./beacon analyse capitals-1 --check",
        "./beacon compare capitals-1",
        "./beacon explain capitals-1",
        "./beacon verify",
    ]


def test_a_line_that_is_missing_is_found() -> None:
    with pytest.raises(AssertionError, match="two"):
        assert_shown(["one", "two"], "two\none\n")
