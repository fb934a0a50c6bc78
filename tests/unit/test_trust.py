"""The trust list: who is in it and when, that it follows its file, and that a damaged file changes nothing."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner_core.errors import ConfigError, Rejected
from runner_core.keys import PrivateKey
from runner_core.trust import TrustList

KEY = PrivateKey.from_seed(bytes(range(32)))
OTHER = PrivateKey.from_seed(b"\x07" * 32)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def entry(**changes: Any) -> dict[str, Any]:
    return {"kid": "portal", "public_key": KEY.public_key, "status": "active"} | changes


def write(path: Path, entries: Any) -> Path:
    """Replace the file as an editor does, so that it is another file even within one tick of the clock."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(entries))
    os.replace(new, path)
    return path


def violation(trust: TrustList, key: str = KEY.public_key, now: datetime = NOW) -> str:
    with pytest.raises(Rejected) as caught:
        trust.check(key, now)
    return caught.value.code


class TestTrustList:
    def test_active(self, tmp_path: Path) -> None:
        trust = TrustList.load(write(tmp_path / "keys.json", [entry()]))
        assert trust.check(KEY.public_key, NOW).kid == "portal"

    def test_unknown(self, tmp_path: Path) -> None:
        trust = TrustList.load(write(tmp_path / "keys.json", [entry()]))
        assert violation(trust, OTHER.public_key) == "trust_violation:unknown"
        assert violation(TrustList([])) == "trust_violation:unknown"

    def test_revoked(self, tmp_path: Path) -> None:
        trust = TrustList.load(write(tmp_path / "keys.json", [entry(status="revoked")]))
        assert violation(trust) == "trust_violation:revoked"

    def test_window_includes_its_start_and_excludes_its_end(self, tmp_path: Path) -> None:
        window = {"not_before": "2026-11-24T12:00:00Z", "not_after": "2026-11-24T14:00:00+01:00"}
        trust = TrustList.load(write(tmp_path / "keys.json", [entry(**window)]))
        tick = timedelta(microseconds=1)
        assert violation(trust, now=NOW - tick) == "trust_violation:not_yet_valid"
        assert trust.check(KEY.public_key, NOW)
        assert trust.check(KEY.public_key, NOW + timedelta(hours=1) - tick)
        assert violation(trust, now=NOW + timedelta(hours=1)) == "trust_violation:expired"

    def test_null_window_is_none(self, tmp_path: Path) -> None:
        trust = TrustList.load(write(tmp_path / "keys.json", [entry(not_before=None, not_after=None)]))
        assert trust.check(KEY.public_key, NOW)

    def test_is_read_again_when_the_file_changes(self, tmp_path: Path) -> None:
        path = write(tmp_path / "keys.json", [entry()])
        trust = TrustList.load(path)
        assert trust.check(KEY.public_key, NOW)
        write(path, [entry(status="revoked"), entry(kid="new", public_key=OTHER.public_key)])
        assert violation(trust) == "trust_violation:revoked"
        assert trust.check(OTHER.public_key, NOW).kid == "new"

    @pytest.mark.parametrize("damage", ["[", '{"kid": 1}', '[{"kid": "portal"}]', None])
    def test_a_damaged_file_leaves_the_earlier_list_and_one_line(
        self, tmp_path: Path, damage: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write(tmp_path / "keys.json", [entry()])
        trust = TrustList.load(path)
        if damage is None:
            path.unlink()
        else:
            path.write_text(damage)
        assert trust.check(KEY.public_key, NOW)
        assert trust.check(KEY.public_key, NOW)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        write(path, [])
        assert violation(trust) == "trust_violation:unknown"

    def test_every_mistake_is_told_with_its_entry(self, tmp_path: Path) -> None:
        entries = [
            7,
            entry(kid=""),
            entry(public_key="short"),
            entry(public_key=None),
            entry(status="on"),
            entry(not_before="yesterday"),
            entry(not_after=7),
            entry(),
            entry(kid="other"),
            entry(public_key=OTHER.public_key),
        ]
        with pytest.raises(ConfigError) as caught:
            TrustList.load(write(tmp_path / "keys.json", entries))
        told = [mistake.split(", ", 1)[1] for mistake in caught.value.mistakes]
        assert told == [
            "entry 0: it must be an object.",
            "entry 1: kid must be a text.",
            "entry 2: public_key must be 32 bytes in standard base64.",
            "entry 3: public_key is missing.",
            'entry 4: status must be "active" or "revoked".',
            "entry 5: not_before must be an RFC 3339 time.",
            "entry 6: not_after must be an RFC 3339 time.",
            "entry 8: its kid or public_key is in the list twice.",
            "entry 9: its kid or public_key is in the list twice.",
        ]

    @pytest.mark.parametrize("content", ["[", "{}", None])
    def test_a_file_that_is_no_list(self, tmp_path: Path, content: str | None) -> None:
        path = tmp_path / "keys.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigError):
            TrustList.load(path)
