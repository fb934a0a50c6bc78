"""Where the extra `semantic` is installed, refusals that the rules don't know are found; each text is embedded once."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from outbox_publisher.retention import remove_old
from runner_analyst import embedded
from runner_analyst.analyst import METHOD_ID, Analyst, analyst_for
from runner_core.comparison.export import export
from runner_core.comparison.material import Material
from runner_core.db import Database
from runner_core.refusals import embedding
from runner_core.refusals.scored import MODEL, Score, text_key
from runner_core.refusals.text import MAX_CHARACTERS
from runner_core.store import analyses
from runner_core.store.detected import as_analysed
from tests.integration.analyst.conftest import drain, stored
from tests.jobs import one, opened, query, settings_for

Conn = psycopg.Connection[Any]
End = Callable[..., str]
SAID = "Let us leave that question where it is."


@pytest.fixture
def embeds(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The extra is installed, and finds a refusal in SAID alone; the batches of texts that were embedded."""
    batches: list[Sequence[str]] = []

    def scores(texts: Sequence[str]) -> list[Score]:
        batches.append(texts)
        return [Score(900_000 if text == SAID else 1000, text[:200]) for text in texts]

    monkeypatch.setattr(embedding, "installed", lambda: True)
    monkeypatch.setattr(embedding, "scores", scores)
    return batches


def say(conn: Conn, text: str = SAID) -> int:
    """Let the first answer have this text; its id."""
    answer = int(one(conn, "SELECT min(id) FROM answers WHERE status = 'ok'"))
    said = "UPDATE answers SET output = output || jsonb_build_object('response', %s::text) WHERE id = %s"
    conn.execute(said, [text, answer])
    return answer


def say_everywhere(conn: Conn) -> None:
    """Let every answer have the text SAID."""
    said = "UPDATE answers SET output = output || jsonb_build_object('response', %s::text) WHERE status = 'ok'"
    conn.execute(said, [SAID])


def test_an_answer_that_only_the_embedding_knows(
    db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]]
) -> None:
    job_id = ended()
    answer = say(conn)
    analyst = analyst_for(db)
    assert drain(analyst) == 1
    (row,) = stored(conn)
    assert row["method"] == row["result"]["method"] == analyst.method == f"{METHOD_ID}+{MODEL}"
    assert (row["result"]["labels"]["embedding"], row["result"]["labels"]["rules"]) == (1, 1)
    with db.transaction() as own:
        snapshot = analyses.snapshot(own, job_id, MAX_CHARACTERS)
    assert snapshot
    snapshot = embedded.with_embeddings(db, snapshot)
    document = export(snapshot.job, snapshot.calls, snapshot.labels, snapshot.units, snapshot.scores)
    assert document["detector"] == f"refusal-rules/2+{MODEL}"
    told = {
        call["id"]: (call["category"], call["category_source"], call["disputed"]) for call in document["executions"]
    }
    assert told.pop(answer) == ("hard_refusal", "embedding", True)
    assert set(told.values()) == {("answer", "rules", False)}
    assert len(embeds) == 1, "each text once"


def test_the_detectors_measured_numbers_stand_in_the_result(
    db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]]
) -> None:
    ended()
    drain(analyst_for(db))
    drain(Analyst(db))
    by_rules, by_both = sorted(stored(conn), key=lambda row: str(row["method"]))
    told = [row["result"]["labels"]["detector"]["en"] for row in (by_rules, by_both)]
    assert [sorted(one["sets"]) for one in told] == [["1", "2", "3"]] * 2
    assert told[0]["sets"]["3"]["recall"] == 0 < told[1]["sets"]["3"]["recall"], "the bad numbers too"


def test_a_text_is_embedded_once_and_by_one_of_two_analysts(
    db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]]
) -> None:
    job_id = ended()
    say(conn)
    other = json.dumps({"millionths": 100_000, "sentence": "the other analyst's"})
    conn.execute("INSERT INTO embeddings VALUES (%s, %s, %s)", [text_key(SAID), MODEL, other])
    with db.transaction() as own:
        snapshot = analyses.snapshot(own, job_id, MAX_CHARACTERS)
    assert snapshot
    found = embedded.with_embeddings(db, snapshot).scores
    assert found
    assert found[text_key(SAID)]["millionths"] == 100_000
    assert SAID not in embeds[0]
    assert len(query(conn, "SELECT FROM embeddings")) == len(found)


def test_what_another_analyst_stored_meanwhile_counts(
    db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = ended()
    say(conn)

    def slow(texts: Sequence[str]) -> list[Score]:
        other = json.dumps({"millionths": 100_000, "sentence": "the other analyst's"})
        conn.execute("INSERT INTO embeddings VALUES (%s, %s, %s)", [text_key(SAID), MODEL, other])
        return [Score(900_000, text[:200]) for text in texts]

    monkeypatch.setattr(embedding, "scores", slow)
    with db.transaction() as own:
        snapshot = analyses.snapshot(own, job_id, MAX_CHARACTERS)
    assert snapshot
    found = embedded.with_embeddings(db, snapshot).scores
    assert found
    assert found[text_key(SAID)]["millionths"] == 100_000


def test_texts_are_kept_batch_by_batch(
    db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "BATCH", 1)
    ended()
    say(conn)
    assert drain(analyst_for(db)) == 1
    assert [len(batch) for batch in embeds] == [1, 1]


def test_an_export_shows_the_categories_of_the_newest_analysis(
    db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]]
) -> None:
    job_id = ended()
    say(conn)
    with db.transaction() as own:
        snapshot = analyses.snapshot(own, job_id, MAX_CHARACTERS)
        assert snapshot
        assert as_analysed(own, snapshot).scores is None, "there is no analysis"
    drain(Analyst(db))
    with db.transaction() as own:
        assert as_analysed(own, snapshot).scores is None, "by the rules alone"
    drain(analyst_for(db))
    with db.transaction() as own:
        seen = as_analysed(own, snapshot)
    document = export(seen.job, seen.calls, seen.labels, seen.units, seen.scores)
    (row,) = [row for row in stored(conn) if row["method"].endswith(MODEL)]
    assert Material.of_export(document).sha256() == row["input_sha256"].hex()
    assert {call["category_source"] for call in document["executions"]} == {"embedding", "rules"}


def test_a_text_that_is_still_used_is_kept_and_not_embedded_again(
    database_url: str, db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]]
) -> None:
    """Retention deletes what no analysis has used; a job's export needs the results for as long as the job is kept."""
    ended()
    say_everywhere(conn)
    drain(analyst_for(db))
    conn.execute("UPDATE embeddings SET created_at = clock_timestamp() - interval '9 days'")
    conn.execute("INSERT INTO embeddings SELECT sha256('unused'), model, result, created_at FROM embeddings")
    ended()
    say_everywhere(conn)
    assert drain(analyst_for(db)) == 1
    assert embeds == [[SAID]], "once for two jobs"
    with opened(settings_for(database_url, job_retention_days=7)) as publisher:
        while remove_old(publisher):
            pass
    sql = "SELECT text_sha256, created_at > clock_timestamp() - interval '1 minute' AS young FROM embeddings"
    found = query(conn, sql)
    assert [(bytes(row["text_sha256"]), row["young"]) for row in found] == [(text_key(SAID), True)]


def test_a_result_of_the_last_day_is_not_written_again(
    db: Database, ended: End, conn: Conn, embeds: list[Sequence[str]]
) -> None:
    kept = []
    for _ in range(2):
        ended()
        say_everywhere(conn)
        drain(analyst_for(db))
        kept.append(one(conn, "SELECT created_at FROM embeddings"))
    assert kept[0] == kept[1]


def test_without_the_extra_nothing_is_embedded(
    db: Database, ended: End, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "installed", lambda: False)
    ended()
    say(conn)
    assert drain(analyst_for(db)) == 1
    (row,) = stored(conn)
    assert row["method"] == row["result"]["method"] == METHOD_ID
    assert row["result"]["labels"]["rules"] == 2
    assert query(conn, "SELECT FROM embeddings") == []


@pytest.mark.skipif(not embedding.installed(), reason="the extra semantic is not installed")
def test_the_real_embedding(db: Database, ended: End, conn: Conn) -> None:
    ended()
    say(conn, "Consider this question skipped.")
    assert drain(analyst_for(db)) == 1
    assert stored(conn)[0]["result"]["labels"]["embedding"] == 1
