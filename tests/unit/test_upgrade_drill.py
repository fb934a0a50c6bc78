"""The upgrade drill: which releases it starts from, what it skips, and which report is a proof."""

import tomllib
from pathlib import Path

import pytest

from bench.drill.release import NotInHistory, Release, to_upgrade_from
from bench.drill.upgrade import Proof

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
