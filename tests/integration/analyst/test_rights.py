"""The analyst under its own login adds analyses and changes nothing; the API labels answers and writes no analysis; a
worker adds a judge's labels alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from runner_analyst.analyst import Analyst
from runner_cli.local import login_urls, set_passwords
from runner_core.heartbeat import Heartbeat
from runner_core.readiness import probe
from runner_core.store import analyses
from tests.jobs import one, opened, settings_for, until

Conn = psycopg.Connection[Any]
End = Callable[..., str]
NOT_THE_ANALYSTS = (
    "UPDATE answers SET calls = 0",
    "DELETE FROM answers",
    "UPDATE jobs SET version = version",
    "INSERT INTO executions (job_id, region, model_id, status) VALUES ('j', 'r', 'm', 'completed')",
    "UPDATE analyses SET elapsed_ms = 0",
    "DELETE FROM analyses",
    "INSERT INTO answer_labels (answer_id, job_id, category, source, actor) VALUES (1, 'j', 'answer', 'human', 'a')",
    "INSERT INTO outbox (job_id, topic, payload) VALUES ('j', 't', '{}')",
)
NOT_THE_APIS = (
    "INSERT INTO analyses (job_id, method, job_version, input_sha256, result, elapsed_ms)"
    " VALUES ('j', 'm', 1, sha256(''), '{}', 1)",
    "DELETE FROM analyses",
    "UPDATE answer_labels SET category = 'answer'",
    "DELETE FROM answer_labels",
)
NOT_THE_WORKERS = (
    "INSERT INTO answer_labels (answer_id, job_id, category, source, actor) VALUES (1, 'j', 'answer', 'human', 'a')",
    "INSERT INTO answer_labels (answer_id, job_id, category, source, actor) VALUES (1, 'j', 'answer', 'judge', 'a')",
    "UPDATE answer_labels SET source = 'human'",
    "DELETE FROM answer_labels",
    "UPDATE judgements SET labelled = true",
    "DELETE FROM judgements",
)


@pytest.fixture
def urls(home: Path, database_url: str) -> dict[str, str]:
    set_passwords(home, database_url)
    return {name.removeprefix("DATABASE_URL_").lower(): url for name, url in login_urls(home, database_url).items()}


def test_the_analyst_needs_no_more_than_its_own_rights(urls: dict[str, str], ended: End, conn: Conn) -> None:
    ended()
    with opened(settings_for(urls["analyst"]), "analyst") as db:
        probe(db)
        analyst = Analyst(db)
        assert [analyst.analyse_due() for _ in range(2)] == [1, 0]
        beat = Heartbeat(db, "analyst")
        beat.start()
        until(lambda: one(conn, "SELECT count(*) FROM processes WHERE kind = 'analyst'") == 1)
        beat.stop()
        with db.transaction() as own:
            analyses.keep_embeddings(own, "m", {b"x" * 32: [1.5], b"y" * 32: {"refuses": True}})
        with db.transaction() as own:
            found = analyses.known_embeddings(own, "m", [b"x" * 32, b"y" * 32, b"z" * 32])
    assert found == {b"x" * 32: [1.5], b"y" * 32: {"refuses": True}}
    assert one(conn, "SELECT count(*) FROM analyses") == 1


def test_the_api_labels_only_answers_that_have_a_text(urls: dict[str, str], ended: End, conn: Conn) -> None:
    ended(("US", "ASIA"))
    usable, failed = (one(conn, "SELECT id FROM answers WHERE status = %s", status) for status in ("ok", "failed"))
    with opened(settings_for(urls["api"]), "api") as db, db.transaction() as own:
        label = analyses.add_label(own, usable, category="answer", source="human", actor="admin", note="read")
        assert label
        assert (label["category"], label["actor"], label["note"]) == ("answer", "admin", "read")
        assert analyses.add_label(own, failed, category="answer", source="human", actor="admin") is None
        assert analyses.add_label(own, 10**9, category="answer", source="human", actor="admin") is None


@pytest.mark.parametrize(
    ("login", "statements"), [("analyst", NOT_THE_ANALYSTS), ("api", NOT_THE_APIS), ("worker", NOT_THE_WORKERS)]
)
def test_the_database_refuses_the_rest(login: str, statements: tuple[str, ...], urls: dict[str, str]) -> None:
    with psycopg.connect(urls[login], autocommit=True) as own:
        for statement in statements:
            with pytest.raises(InsufficientPrivilege):
                own.execute(statement.encode())
