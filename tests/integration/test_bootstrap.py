"""./beacon, the first thing that a newcomer runs: in a checkout of its own, with an installer that only pretends."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BEACON = Path(__file__).parents[2] / "beacon"
# Stands in for uv: notes its arguments, and makes the program that the project would have.
UV = """\
#!/bin/sh
echo "$@" >> "$LOG"
[ -n "$FAIL" ] && { echo "$FAIL" >&2; exit 2; }
echo "Resolved 3 packages in 1ms"
printf '#!/bin/sh\\necho ran "$@" in "$PWD"\\n' > "$(dirname "$4")/beacon"
chmod +x "$(dirname "$4")/beacon"
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a path with a space, and a folder to stand in where a stranger's `re.py` lies."""
    checkout = tmp_path / "check out"
    checkout.mkdir()
    shutil.copy(BEACON, checkout / "beacon")
    (checkout / "pyproject.toml").write_text('[tool.beacon.demo.wheels]\n"model==1" = ["ab"]\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/uv").write_text(UV)
    (tmp_path / "bin/uv").chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/re.py").write_text("raise SystemExit('the wrong re')")
    return checkout


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Run:
    def run(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(checkout / "beacon"), *args],
            cwd=tmp_path / "elsewhere",
            env={"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "LOG": str(tmp_path / "log"), **env},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def installs(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_the_first_run_installs_and_the_second_does_not(run: Run, tmp_path: Path) -> None:
    first = run("demo", "two words")
    assert (first.returncode, first.stdout) == (0, f"ran demo two words in {tmp_path / 'elsewhere'}\n"), first.stderr
    assert "beacon:   Resolved 3 packages" in first.stderr
    second = run("jobs")
    assert (second.returncode, second.stdout, second.stderr) == (0, f"ran jobs in {tmp_path / 'elsewhere'}\n", "")
    assert len(installs(tmp_path)) == 1
    assert installs(tmp_path)[0].endswith("-e .[local]")


def test_changed_settings_and_new_extras_install_again(run: Run, checkout: Path, tmp_path: Path) -> None:
    run("jobs")
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    run("jobs")
    assert len(installs(tmp_path)) == 2
    run("test")  # pytest is not there; that it was asked for is what matters
    assert installs(tmp_path)[-1].endswith("-e .[local,test]")
    run("test")
    run("jobs")
    assert len(installs(tmp_path)) == 3
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# and again\n")
    run("jobs")
    assert installs(tmp_path)[-1].endswith("-e .[local,test]")  # what was there stays there


def test_two_first_runs_at_once_make_one_environment(checkout: Path, tmp_path: Path) -> None:
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    both = [
        subprocess.Popen([sys.executable, str(checkout / "beacon"), "jobs"], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [child.communicate()[0][:8] for child in both] == ["ran jobs", "ran jobs"]
    assert len(installs(tmp_path)) == 1


def test_without_network_it_says_so_and_the_next_run_installs(run: Run, tmp_path: Path) -> None:
    # pip, which is tried after uv, can't reach anything either.
    offline = {"FAIL": "dns error", "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_CONFIG_FILE": os.devnull}
    failed = run("demo", **offline)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.splitlines()[-1].startswith("beacon: the package index cannot be reached.")
    assert run("demo").returncode == 0


def test_the_model_is_installed_once_with_its_hashes(run: Run, checkout: Path, tmp_path: Path) -> None:
    assert run("install-model").returncode == 0
    assert (checkout / ".venv-model/requirements.txt").read_text() == "model==1 --hash=sha256:ab\n"
    assert "--no-deps --only-binary :all: --require-hashes" in installs(tmp_path)[0]
    again = run("install-model")
    assert (again.returncode, again.stdout + again.stderr) == (0, "")
    assert len(installs(tmp_path)) == 1


def test_an_old_python_can_read_it() -> None:
    """It must parse there to say that a newer one is needed."""
    ast.parse(BEACON.read_text(), feature_version=(3, 6))
