"""An earlier release: its files from this repository's history, and an environment of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from runner_cli.home import CHECKOUT

FOLDER = CHECKOUT / "artefacts/releases"
RELEASES = CHECKOUT / "ops/releases.toml"


class NotInHistory(Exception):
    """The checkout has no commit of this release, as in a shallow clone or without git."""


@dataclass(frozen=True)
class Release:
    """A release of ops/releases.toml."""

    version: str
    commit: str

    @property
    def folder(self) -> Path:
        """Return the folder of its files and of its environment."""
        return FOLDER / f"{self.version}-{self.commit[:7]}"

    @property
    def python(self) -> Path:
        """Return the interpreter of its environment."""
        return self.folder / ".venv/bin/python"

    def install(self) -> None:
        """Take the files from the history and make the environment, once. Raises NotInHistory, RuntimeError."""
        if not (self.folder / "beacon").exists():
            made = subprocess.run(["git", "archive", self.commit], cwd=CHECKOUT, capture_output=True, check=False)  # noqa: S607
            if made.returncode:
                raise NotInHistory(f"this checkout's history does not have release {self.version} ({self.commit[:7]})")
            self.unpack(made.stdout)
        done = subprocess.run(
            [sys.executable, str(self.folder / "beacon"), "--version"],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the environment of {self.version} can't be made: {done.stderr[-2000:]}")

    def unpack(self, archive: bytes) -> None:
        """Unpack the files beside `folder`, then rename: an interrupted run leaves no folder with a part of them."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as beside:
            whole = Path(beside) / "files"
            whole.mkdir()
            subprocess.run(["tar", "-x", "-C", str(whole)], input=archive, check=True)  # noqa: S607
            if self.folder.exists():
                shutil.rmtree(self.folder)
            whole.rename(self.folder)


def to_upgrade_from() -> list[Release]:
    """Return the releases from which an upgrade must work, newest first."""
    document = tomllib.loads(RELEASES.read_text())
    commits = {one["version"]: one["commit"] for one in document["release"]}
    return [Release(version, commits[version]) for version in document["upgrade_from"]]


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that lead to this checkout or to a stack of the developer's."""
    ours = ("DATABASE_URL", "REDIS_URL", "BEACON_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "METRICS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
