"""Which analysis is shown while the judge's labels count, when they stop to count, and without a judge."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from runner_analyst import analyst as analyst_module
from runner_analyst.analyst import METHOD_ID, Analyst
from runner_core.comparison.export import export
from runner_core.comparison.material import Material
from runner_core.db import Database
from runner_core.judge_settings import Judge
from runner_core.store import analyses
from runner_core.store.detected import as_analysed
from tests.integration.analyst.conftest import drain, stored
from tests.jobs import opened, query, settings_for

Conn = psycopg.Connection[Any]
End = Callable[..., str]
JUDGE = Judge("judges", "wise")
JUDGED = f"{METHOD_ID}+{JUDGE.id}"


@pytest.fixture(autouse=True)
def always_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The analyst looks each time whether the judge's labels count."""
    monkeypatch.setattr(analyst_module, "JUDGE_SECONDS", 0)


@pytest.fixture
def judged(ended: End, conn: Conn) -> str:
    """A job of 60 answers, half of which the judge calls refusals; people say the same of 50."""
    job_id = ended(questions=("q1", "q2", "q3"), runs=10)
    conn.execute(
        """INSERT INTO judgements (answer_id, judge, job_id, requests, asked_at, open_at, reply, category, labelled)
           SELECT id, %s, job_id, 1, now(), NULL, 'x', CASE WHEN id %% 2 = 0 THEN 'hard_refusal' ELSE 'answer' END, true
             FROM answers""",
        [JUDGE.id],
    )
    conn.execute(
        """INSERT INTO answer_labels (answer_id, job_id, category, source, actor)
           SELECT answer_id, job_id, category, 'judge', %s FROM judgements ORDER BY answer_id""",
        [JUDGE.actor],
    )
    people_say(conn, 50)
    return job_id


def people_say(conn: Conn, most: int) -> None:
    """Somebody says of so many answers what the judge said."""
    conn.execute(
        b"""INSERT INTO answer_labels (answer_id, job_id, category, source, actor)
            SELECT answer_id, job_id, category, 'human', 'ann' FROM judgements ORDER BY answer_id LIMIT %s""",
        [most],
    )


def shown(db: Database, job_id: str) -> str:
    """The method of the analysis that is shown; an export has the same categories."""
    with db.transaction() as conn:
        row, whole = analyses.newest(conn, job_id), analyses.whole(conn, job_id)
        assert row
        assert whole
        seen = as_analysed(conn, whole)
    document = export(seen.job, seen.calls, seen.labels, seen.units, seen.scores, seen.judge, seen.measured)
    assert Material.of_export(document).sha256() == row["input_sha256"].hex()
    assert document["detector"] == row["method"].removeprefix("beacon-compare/1+")
    return str(row["method"])


@pytest.fixture
def api(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "api") as made:
        yield made


def test_the_judges_labels_count_from_fifty_answers_on(db: Database, api: Database, judged: str, conn: Conn) -> None:
    analyst = Analyst(db, judge=JUDGE.id, look_seconds=0)
    assert drain(analyst) == 1
    assert shown(api, judged) == JUDGED
    (row,) = stored(conn)
    told = row["result"]["labels"]
    assert (told["human"], told["judge"]) == (50, 10)
    assert told["kappas"]["judge"] == {"kappa": 1.0, "n": 50}
    assert told["counting_judge"] == {"kappa": 1.0, "n": 50, "silent": 0, "answers_here": 60, "silent_here": 0}


def test_the_measure_of_an_analysis_is_that_of_its_moment(
    db: Database, api: Database, judged: str, ended: End, conn: Conn
) -> None:
    """Labels of another job change what is measured: of the other job's analysis, not of the one that is there."""
    analyst = Analyst(db, judge=JUDGE.id, look_seconds=0)
    assert drain(analyst) == 1
    other = ended(questions=("q1", "q2"), runs=5)
    conn.execute(
        """WITH placed AS (SELECT id, job_id, row_number() OVER (ORDER BY id) AS place FROM answers WHERE job_id = %s)
           INSERT INTO judgements
                  (answer_id, judge, job_id, requests, asked_at, open_at, reply, category, labelled, error)
           SELECT id, %s, job_id, 1, now(), CASE WHEN place = 4 THEN now() END, CASE WHEN place < 3 THEN 'x' END,
                  CASE WHEN place = 1 THEN 'hard_refusal' END, place = 1, CASE WHEN place = 3 THEN 'timeout' END
             FROM placed WHERE place < 5""",
        [other, JUDGE.id],
    )
    conn.execute(
        """INSERT INTO answer_labels (answer_id, job_id, category, source, actor)
           SELECT id, job_id, 'answer', 'human', 'ann' FROM answers WHERE job_id = %s""",
        [other],
    )
    assert drain(analyst) == 1
    first, second = [row["result"]["labels"]["counting_judge"] for row in stored(conn)]
    assert (first["kappa"], first["n"], first["silent"]) == (1.0, 50, 0)
    assert second["kappa"] == pytest.approx(1 - (1 / 51) / (1 - (25 * 26 + 26 * 25) / 51**2))
    assert (second["n"], second["silent"]) == (51, 2), "a reply that is no category and a failed call; not an open one"
    assert [shown(api, job) for job in (judged, other)] == [JUDGED, JUDGED], "each export gives its analysis again"


def test_a_judge_that_no_file_names_does_not_count(db: Database, api: Database, judged: str, conn: Conn) -> None:
    analyst = Analyst(db, judge="another", look_seconds=0)
    assert drain(analyst) == 1
    assert shown(api, judged) == METHOD_ID
    (row,) = stored(conn)
    assert row["result"]["labels"]["judge"] == 0
    assert "counting_judge" not in row["result"]["labels"]


def test_an_earlier_analysis_is_shown_again_when_the_judge_leaves_the_file(
    db: Database, api: Database, judged: str, conn: Conn
) -> None:
    assert drain(Analyst(db, look_seconds=0)) == 1
    assert shown(api, judged) == METHOD_ID
    assert drain(Analyst(db, judge=JUDGE.id, look_seconds=0)) == 1
    assert shown(api, judged) == JUDGED
    assert drain(Analyst(db, look_seconds=0)) == 0, "its state has that analysis"
    assert shown(api, judged) == METHOD_ID
    assert len(stored(conn)) == 2, "both are kept"
    with api.transaction() as own:
        asked = analyses.newest(own, judged, method=JUDGED)
    assert asked
    assert asked["method"] == JUDGED


def test_an_earlier_analysis_is_shown_again_when_kappa_falls(
    db: Database, api: Database, judged: str, ended: End, conn: Conn
) -> None:
    """Labels of another job make kappa fall: the job's own state stays, and has both analyses."""
    assert drain(Analyst(db, look_seconds=0)) == 1
    analyst = Analyst(db, judge=JUDGE.id, look_seconds=0)
    assert drain(analyst) == 1
    assert shown(api, judged) == JUDGED
    other = ended(questions=("q1", "q2"), runs=5)
    conn.execute(
        """INSERT INTO judgements (answer_id, judge, job_id, requests, asked_at, open_at, reply, category, labelled)
           SELECT id, %s, job_id, 1, now(), NULL, 'x', 'hard_refusal', true FROM answers WHERE job_id = %s""",
        [JUDGE.id, other],
    )
    conn.execute(
        """INSERT INTO answer_labels (answer_id, job_id, category, source, actor)
           SELECT answer_id, job_id, 'answer', 'human', 'ann' FROM judgements WHERE job_id = %s""",
        [other],
    )
    assert drain(analyst) == 1, "the other job; the first one's state has its analysis"
    assert analyst.method == METHOD_ID
    assert shown(api, judged) == METHOD_ID
    assert shown(api, other) == METHOD_ID
    assert [r["method"] for r in query(conn, "SELECT method FROM analysis_methods ORDER BY id")] == [
        METHOD_ID,
        JUDGED,
        METHOD_ID,
    ]


def test_a_look_that_fails_stops_no_analysis(
    db: Database, api: Database, judged: str, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute(b"ALTER TABLE judgements RENAME TO away")
    analyst = Analyst(db, judge=JUDGE.id, look_seconds=0)
    assert drain(analyst) == 1
    assert shown(api, judged) == METHOD_ID
    conn.execute(b"ALTER TABLE away RENAME TO judgements")
    assert drain(analyst) == 1
    assert shown(api, judged) == JUDGED
    conn.execute(b"ALTER TABLE judgements RENAME TO away")
    assert drain(analyst) == 0
    assert analyst.method == JUDGED, "what is known stays"


def test_a_judge_that_counts_goes_on_to_count_a_little_below(
    db: Database, api: Database, judged: str, conn: Conn
) -> None:
    """Also with an analyst that was started meanwhile."""
    conn.execute(
        b"""UPDATE answer_labels SET category = 'answer' WHERE id IN (
              SELECT id FROM answer_labels WHERE source = 'human' AND category = 'hard_refusal' ORDER BY id LIMIT 8)"""
    )
    assert drain(Analyst(db, judge=JUDGE.id, look_seconds=0)) == 1
    (kappa,) = [r["result"]["labels"]["kappas"]["judge"]["kappa"] for r in stored(conn)]
    assert 0.65 <= kappa < 0.7
    assert shown(api, judged) == METHOD_ID
    conn.execute("INSERT INTO analysis_methods (method) VALUES (%s)", [JUDGED])
    assert drain(Analyst(db, judge=JUDGE.id, look_seconds=0)) == 1
    assert shown(api, judged) == JUDGED


def test_looking_again_adds_nothing(db: Database, judged: str, conn: Conn) -> None:
    analyst = Analyst(db, judge=JUDGE.id, look_seconds=0)
    for _ in range(3):
        drain(analyst)
    drain(Analyst(db, judge=JUDGE.id, look_seconds=0))
    assert [r["method"] for r in query(conn, "SELECT method FROM analysis_methods")] == [JUDGED]
