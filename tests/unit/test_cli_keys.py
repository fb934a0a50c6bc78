"""Keys, signatures and receipts of the `beacon` command."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner_core.keys import PrivateKey
from runner_core.receipts import output_sha256, sign_receipt
from runner_core.signing import verify
from runner_core.trust import TrustList
from tests.command_line import JOB, usage

pytestmark = pytest.mark.usefixtures("alone")


def test_keygen_sign_and_verify(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("keygen", "key.pem", "--kid", "alice", "--trust", "trust.json") == 0
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    entry = json.loads(capsys.readouterr().out)
    assert entry["kid"] == "alice"
    assert usage("sign", "job.json", "--key", "key.pem") == 0
    signed = json.loads(capsys.readouterr().out)
    assert verify(signed).form == "jcs"
    assert {name: signed[name] for name in JOB} == JOB
    assert signed["id"].startswith("job-")
    assert signed["metadata"]["nonce"]
    verify(signed).check_freshness(datetime.now(UTC))
    assert TrustList.load("trust.json").check(signed["public_key"], datetime.now(UTC)).kid == "alice"


def test_signing_again_keeps_the_id_and_renews_the_rest(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PrivateKey.generate().save("key.pem")
    usage("sign", "job.json", "--key", "key.pem")
    first = json.loads(capsys.readouterr().out)
    job.write_text(json.dumps(first))
    usage("sign", "job.json", "--key", "key.pem")
    second = json.loads(capsys.readouterr().out)
    assert first["id"] == second["id"]
    assert first["metadata"]["nonce"] != second["metadata"]["nonce"]
    assert verify(second).form == "jcs"


def test_a_job_from_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    PrivateKey.generate().save("key.pem")
    monkeypatch.setenv("BEACON_KEY", "key.pem")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(JOB).encode())))
    assert usage("sign") == 0
    assert verify(json.loads(capsys.readouterr().out)).form == "jcs"


def test_keygen_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("keygen", "key.pem", "--kid", "alice", "--trust", "trust.json") == 0
    before = (tmp_path / "key.pem").read_bytes()
    assert usage("keygen", "key.pem") == 2
    assert (tmp_path / "key.pem").read_bytes() == before
    # A kid that is there already: neither the list nor a key file changes.
    trust = (tmp_path / "trust.json").read_bytes()
    assert usage("keygen", "other.pem", "--kid", "alice", "--trust", "trust.json") == 2
    assert (tmp_path / "trust.json").read_bytes() == trust
    assert not (tmp_path / "other.pem").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.pem", "trust.json"]
    assert "is in the list twice" in capsys.readouterr().err


# Receipts.


@pytest.fixture
def execution(tmp_path: Path) -> dict[str, Any]:
    """An execution's details with its receipt, in execution.json; the runner's key is trusted in runner.json."""
    key = PrivateKey.generate()
    output = {"response": "4", "refused": False}
    facts = {"job_id": "job-1", "region": "US", "model_id": "m", "status": "completed"}
    document = {"output": output, "receipt": sign_receipt(facts | {"output_sha256": output_sha256(output)}, key)}
    (tmp_path / "execution.json").write_text(json.dumps(document))
    entry = {"kid": "runner", "public_key": key.public_key, "status": "active"}
    (tmp_path / "runner.json").write_text(json.dumps([entry]))
    return document


def test_a_genuine_receipt(execution: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("receipt", "execution.json", "--trust", "runner.json") == 0
    shown = capsys.readouterr().out
    assert "The receipt is genuine: signed by runner, and the output matches it." in shown
    assert "job-1" in shown
    (tmp_path / "receipt.json").write_text(json.dumps(execution["receipt"]))
    assert usage("receipt", "receipt.json", "--trust", execution["receipt"]["public_key"], "--json") == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True


def test_receipts_that_are_not_genuine(
    execution: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = PrivateKey.generate()
    assert usage("receipt", "execution.json", "--trust", other.public_key) == 1
    assert "trust_violation:unknown" in capsys.readouterr().err
    changed = execution | {"receipt": execution["receipt"] | {"status": "failed"}}
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    assert usage("receipt", "changed.json", "--trust", "runner.json") == 1
    assert "signature_mismatch" in capsys.readouterr().err
    swapped = execution | {"output": {"response": "5"}}
    (tmp_path / "swapped.json").write_text(json.dumps(swapped))
    assert usage("receipt", "swapped.json", "--trust", "runner.json") == 1
    assert "output beside it does not match" in capsys.readouterr().err
