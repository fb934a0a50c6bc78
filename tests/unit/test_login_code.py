"""A code that logs in: once, within ten minutes, and only its hash is kept."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runner_core.login_code import SECONDS, forget, make, redeem


def test_a_code_works_once(tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    code = make(path, "ann")
    assert len(code) >= 32
    assert code not in path.read_text(), "only its hash is kept"
    assert path.stat().st_mode & 0o077 == 0
    assert redeem(path, "another") is None
    assert redeem(path, "\ud800") is None
    assert redeem(path, code) == "ann", "a wrong code does not use the right one up"
    assert redeem(path, code) is None


def test_of_many_requests_one_is_first(tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    code = make(path, "ann")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: redeem(path, code), range(64)))
    assert found.count("ann") == 1
    assert found.count(None) == 63


def test_an_old_code_does_not_work(tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    code = make(path, "ann")
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"expires_at": kept["expires_at"] - SECONDS}))
    assert redeem(path, code) is None


def test_a_missing_or_broken_file_logs_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    assert redeem(path, "x") is None
    for text in ("", "[]", "{}", '{"sha256": 1}'):
        path.write_text(text)
        assert redeem(path, "x") is None
    code = make(path, "ann")
    forget(path)
    forget(path)
    assert redeem(path, code) is None
