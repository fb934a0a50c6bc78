"""The package as it is installed elsewhere, far from the checkout: its statements, pages and files come along."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from runner_core.migrate import latest
from tests.jobs import one

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "outbox_publisher",
    "runner_analyst",
    "runner_api",
    "runner_cli",
    "runner_core",
    "runner_queue",
    "runner_worker",
)
MOVED = {
    "sql": "runner_core/sql",
    "regions": "runner_cli/regions",
    "docs": "runner_core/docs",
}  # where the wheel has these folders
DATA = (
    *(ROOT / "sql").rglob("*.sql"),
    *(ROOT / "regions").glob("*.toml"),
    *(ROOT / "docs" / name for name in ("comparison.md", "comparison-example.json", "recompute.py")),
    *(path for path in (ROOT / "runner_api/portal").rglob("*") if path.suffix not in (".py", ".pyc")),
    *(ROOT / "runner_api/routes/templates").iterdir(),
    *(ROOT / package / "py.typed" for package in PACKAGES),
    ROOT / "runner_cli/Procfile",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy, because setuptools leaves its drafts beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    for name in (*PACKAGES, *MOVED):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(folder / "source"))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the installed package's Python, away from the checkout; what it prints."""
    target = tmp_path / "site"
    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel))

    def python(*arguments: str, **env: str) -> str:
        # The first on the path wins over the checkout, which our environment has installed in place.
        return run(*arguments, cwd=tmp_path, PYTHONPATH=str(target), **env)

    return python


def run(*arguments: str, cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_that_is_not_code_is_in_the_wheel(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(ROOT)) for path in DATA if path.is_file()}
    assert len(wanted) > 20
    assert {
        MOVED.get(top, top) + slash + rest for top, slash, rest in (name.partition("/") for name in wanted)
    } <= packed
    assert {name.partition("/")[0] for name in packed if ".dist-info" not in name} == set(PACKAGES)


def test_a_database_is_migrated_from_the_installed_package(
    installed: Callable[..., str], empty_database_url: str, tmp_path: Path
) -> None:
    where = installed("-c", "import runner_core, runner_cli; print(runner_core.__file__, runner_cli.__file__)")
    assert str(ROOT) not in where
    said = installed("-m", "runner_cli", "migrate", DATABASE_URL=empty_database_url)
    assert f"the schema is at version {latest()}" in said
    with psycopg.connect(empty_database_url) as conn:
        assert one(conn, "SELECT max(version) FROM schema_migrations") == latest()
    # What the migrations left is what the invariants' queries, files as well, are asked of.
    assert "I7" in installed("-m", "runner_cli", "verify", DATABASE_URL=empty_database_url, REDIS_URL="")


def test_the_demo_runs_from_the_installed_package(installed: Callable[..., str], tmp_path: Path) -> None:
    """Far from a checkout there is no language model to install; every answer is simulated, and the demo says so."""
    (tmp_path / "home").mkdir(mode=0o711)
    said = installed("-m", "runner_cli", "demo", BEACON_HOME=str(tmp_path / "home"))
    assert "checkout installs the model, and this is not a checkout" in said
    assert "next: beacon up" in said
