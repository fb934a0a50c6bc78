"""The upgrade drill: which releases it starts from, what it skips, and which report is a proof."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from bench.drill.release import NotInHistory, Release, to_upgrade_from
from bench.drill.upgrade import Proof, main

ROOT = Path(__file__).parents[2]


def test_every_release_to_upgrade_from_is_a_release_with_a_commit() -> None:
    known = {
        one["version"]: one["commit"] for one in tomllib.loads((ROOT / "ops/releases.toml").read_text())["release"]
    }
    releases = to_upgrade_from()
    assert releases
    assert [known[release.version] for release in releases] == [release.commit for release in releases]
    assert all(release.commit for release in releases)


def test_a_commit_that_the_history_does_not_have_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.drill.release.FOLDER", tmp_path)
    with pytest.raises(NotInHistory, match=r"does not have release 0\.0\.9 \(0000000\)"):
        Release("0.0.9", "0" * 40).install()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_no_part_of_a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.drill.release.FOLDER", tmp_path)
    (tmp_path / "beacon").touch()
    (tmp_path / "last").touch()
    archive = subprocess.run(["tar", "-c", "-C", tmp_path, "beacon", "last"], capture_output=True, check=True).stdout  # noqa: S607
    release = Release("0.0.9", "0" * 40)
    with pytest.raises(subprocess.CalledProcessError):
        release.unpack(archive[:512] + b"x" * 1024)  # the second header is none
    assert not release.folder.exists()
    release.unpack(archive)
    assert sorted(path.name for path in release.folder.iterdir()) == ["beacon", "last"]


def test_a_mistyped_release_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--release", "0.0.9"])
    assert ended.value.code == 2
    assert "invalid choice: '0.0.9'" in capsys.readouterr().err


def test_a_named_release_that_is_skipped_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.drill.release.FOLDER", tmp_path)
    monkeypatch.setattr("bench.drill.upgrade.to_upgrade_from", lambda: [Release("0.0.9", "0" * 40)])
    assert main(["--release", "0.0.9"]) == 2
    assert main([]) == 0
    assert capsys.readouterr().out.count("SKIPPED") == 2


@pytest.mark.parametrize(
    ("claims", "accepted", "broken", "status", "last"),
    [
        ((5, 5), (3, 3), [], 0, "OK nothing was lost or doubled"),
        ((5, 5), (3, 3), ["chaos-000001: accepted and unknown"], 1, "BROKEN chaos-000001: accepted and unknown"),
        ((0, 9), (3, 3), [], 2, "INVALID one side did no work"),
        ((5, 5), (6, 0), [], 2, "INVALID one side did no work"),
    ],
)
def test_the_last_line_and_the_exit_code(
    claims: tuple[int, int], accepted: tuple[int, int], broken: list[str], status: int, last: str
) -> None:
    proof = Proof(Release("0.2.0", "0" * 40), claims=claims, accepted=accepted, broken=broken)
    assert (proof.status, proof.lines()[-1]) == (status, last)
