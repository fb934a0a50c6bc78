"""`beacon verify --receipts`: what clients have kept, and what the database lacks of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_api.verbs.retry import Wanted, retry_job
from runner_cli.exits import UsageError
from runner_cli.invariants import INVARIANTS, Verdict
from runner_cli.kept_files import Kept, read_kept
from runner_core.db import Database
from runner_core.keys import PrivateKey
from tests.engine import running
from tests.integration.verify.conftest import TESTER
from tests.integration.verify.test_verify import run_verify
from tests.jobs import catalogue, submission, submit

Connection = psycopg.Connection[Any]
Look = Callable[..., dict[str, Verdict]]


@pytest.fixture
def receipts(db: Database, conn: Connection, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The receipts of one job, by region."""
    submit(db, submission("signed"))
    with running(db, catalogue(tmp_path)) as engine:
        engine.runner.row_writer.execution_rows.receipt_key = PrivateKey.generate()
        assert engine.run(("signed", "US"), ("signed", "EU")) == ["finished"] * 2
    rows = conn.execute("SELECT region, receipt FROM executions").fetchall()
    return dict(rows)


def keep(folder: Path, name: str, *documents: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(one) + "\n" for one in documents))
    return folder


def test_every_form_that_a_client_keeps(tmp_path: Path, receipts: dict[str, dict[str, Any]]) -> None:
    folder = keep(tmp_path / "kept", "answers.jsonl", {"job_id": "a", "idempotent": True}, {"job_id": "b"})
    keep(folder, "job.json", {"id": "c", "version": "v1", "signature": "s", "region": ["US"]})
    keep(folder, "receipt.json", receipts["US"])
    keep(folder, "details.json", {"id": 7, "job_id": "signed", "receipt": receipts["EU"]})
    (folder / "notes.txt").write_text("not one of them")
    assert read_kept(str(folder)) == [
        Kept("answers.jsonl", "a"),
        Kept("answers.jsonl", "b"),
        Kept("details.json", "signed", "EU", "m1", receipts["EU"]["signature"], 1),
        Kept("job.json", "c"),
        Kept("receipt.json", "signed", "US", "m1", receipts["US"]["signature"], 1),
    ]


def test_what_is_missing_is_named_one_by_one(
    conn: Connection, tmp_path: Path, receipts: dict[str, dict[str, Any]], broken: Look
) -> None:
    folder = keep(tmp_path / "kept", "receipts.jsonl", *receipts.values())
    keep(folder, "accepted.jsonl", {"job_id": "signed"}, *({"job_id": f"gone-{n}"} for n in range(7)))
    found = broken(kept=read_kept(str(folder)))
    assert found["kept"].examples == [(f"gone-{n}", "the job is missing (accepted.jsonl)") for n in range(7)]

    conn.execute("DELETE FROM executions WHERE region = 'US'")
    conn.execute("""UPDATE executions SET receipt = receipt || '{"signature": "x"}' WHERE region = 'EU'""")
    named = [
        sentence for job_id, sentence in broken(kept=read_kept(str(folder)))["kept"].examples if job_id == "signed"
    ]
    assert sorted(named) == [
        "the result of EU m1 is another than the receipt's (receipts.jsonl)",
        "the result of US m1 is missing (receipts.jsonl)",
    ]
    conn.execute("UPDATE executions SET retry_count = 1")  # a second try at a provider, or a lost lease
    named = [
        sentence for job_id, sentence in broken(kept=read_kept(str(folder)))["kept"].examples if job_id == "signed"
    ]
    assert len(named) == 2


def test_a_retry_excuses_the_receipt_of_what_it_replaced_and_no_later_one(
    db: Database, conn: Connection, tmp_path: Path, broken: Look
) -> None:
    """The receipt of a success that came after the dump is named, although the failure in the dump had tries."""
    submit(db, submission("again", regions=("US",)))
    kept = [ended(db, tmp_path / "first", conn, {"US": {"options": {"fail": "http_400"}}})]
    conn.execute("UPDATE executions SET retry_count = 2")  # it had tries
    conn.execute("CREATE TABLE dumped AS TABLE executions")
    events = conn.execute("SELECT count(*) FROM job_events").fetchone()
    retry_job(db, "again", Wanted("US", "m1"), TESTER, "action-1")
    folder = keep(tmp_path / "kept", "receipts.jsonl", *kept)
    assert "kept" not in broken(kept=read_kept(str(folder))), "the retry is under way"
    kept.append(ended(db, tmp_path / "second", conn))
    keep(folder, "receipts.jsonl", *kept)
    assert "kept" not in broken(kept=read_kept(str(folder))), "the retry has replaced the first one"

    conn.execute("DELETE FROM executions")  # what a restore of the dump leaves
    conn.execute("INSERT INTO executions SELECT * FROM dumped")
    conn.execute("DROP TABLE dumped")
    conn.execute("DELETE FROM job_events WHERE seq > %s", events)
    found = broken(kept=read_kept(str(folder)))["kept"]
    assert found.examples == [("again", "the result of US m1 is another than the receipt's (receipts.jsonl)")]


def ended(db: Database, folder: Path, conn: Connection, regions: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run the job `again`, and return the receipt of its execution."""
    folder.mkdir()
    with running(db, catalogue(folder, regions or {})) as engine:
        engine.runner.row_writer.execution_rows.receipt_key = PrivateKey.generate()
        assert engine.run(("again", "US")) == ["finished"]
    (receipt,) = conn.execute("SELECT receipt FROM executions").fetchone() or ({},)
    return dict(receipt)


def test_the_command(conn: Connection, tmp_path: Path, receipts: dict[str, dict[str, Any]], database_url: str) -> None:
    folder = keep(tmp_path / "kept", "accepted.jsonl", {"job_id": "signed"}, *receipts.values())
    good = run_verify(database_url, "--receipts", str(folder))
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[:2] for line in good.stdout.splitlines()] == [[name, "ok"] for name in (*INVARIANTS, "kept")]
    keep(folder, "more.jsonl", {"job_id": "gone"})
    bad = run_verify(database_url, "--receipts", str(folder))
    assert bad.returncode == 1
    assert "gone: the job is missing (more.jsonl)" in bad.stdout


def test_a_script_can_tell_missing_from_broken(
    db: Database, conn: Connection, tmp_path: Path, database_url: str
) -> None:
    """After a restore with an empty Redis every open region's message is lost until it is staged again."""
    submit(db, submission("open"))
    conn.execute("UPDATE outbox SET processed_at = now() - interval '1 hour', dispatch_id = 'd-1'")
    folder = keep(tmp_path / "kept", "accepted.jsonl", {"job_id": "open"})
    all_of_it = run_verify(database_url, "--receipts", str(folder), "--json")
    assert (all_of_it.returncode, [v["name"] for v in json.loads(all_of_it.stdout) if v["broken"]]) == (1, ["I2"])
    kept = run_verify(database_url, "--receipts", str(folder), "--only-kept", "--json")
    assert (kept.returncode, [v["name"] for v in json.loads(kept.stdout)]) == (0, ["kept"])
    keep(folder, "more.jsonl", {"job_id": "gone"})
    assert run_verify(database_url, "--receipts", str(folder), "--only-kept").returncode == 1
    alone = run_verify(database_url, "--only-kept")
    assert (alone.returncode, "--only-kept needs --receipts DIR" in alone.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"id": "a"}\n{"region": "US"}', r"one\.jsonl, line 2 names no job"),
        ('\n{"id": "a\n{"id": "b"}\n', r"one\.jsonl, line 2 is no JSON object"),
        ("", "holds no answer, job or receipt"),
    ],
)
def test_files_that_can_not_be_used(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "one.jsonl").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_kept(str(tmp_path))


@pytest.mark.parametrize("torn", ['{"job_id": "b', '{"job_id": "b\n\n', '{"job_id": "\xe9', "[1]"])
def test_a_torn_last_line_is_left_out_with_a_remark(
    tmp_path: Path, torn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.jsonl").write_bytes(b'{"job_id": "a"}\n' + torn.encode("latin-1"))
    keep(tmp_path, "two.jsonl", {"job_id": "c"})
    assert read_kept(str(tmp_path)) == [Kept("one.jsonl", "a"), Kept("two.jsonl", "c")]
    told = capsys.readouterr().err
    assert "one.jsonl, line 2 is no JSON object" in told
    assert told.endswith("As the last line it may be torn, and is left out.\n")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_kept(str(tmp_path / "none"))
