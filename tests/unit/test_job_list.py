"""What the list of jobs says: sizes, filters in words, and the last hour as bars with their numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

from runner_api.views.job_list import HEIGHT, hour, remarks

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def minutes(**numbers: tuple[int, int]) -> list[dict[str, Any]]:
    """An hour without jobs, but for `m5=(3, 1)`: minute 5 with three jobs that ended well and one with failures."""
    given = {int(name[1:]): value for name, value in numbers.items()}
    return [
        {"minute": START + timedelta(minutes=n), "well": given.get(n, (0, 0))[0], "bad": given.get(n, (0, 0))[1]}
        | {"uncounted": False}
        for n in range(60)
    ]


def test_the_highest_minute_fills_the_picture_and_the_table_says_the_same() -> None:
    found = hour(minutes(m5=(3, 1), m59=(1, 0)))
    assert [(bar.well + bar.bad) for bar in found.minutes] == [HEIGHT, HEIGHT / 4]
    assert found.rows == [("12:59", "1", "0"), ("12:05", "3", "1")]
    assert found.told == "5 jobs ended in the last hour, 1 with failures"


def test_an_hour_without_jobs_has_no_bar() -> None:
    found = hour(minutes())
    assert (found.minutes, found.rows, found.told) == ([], [], "No job ended in the last hour")


def test_a_limit_of_counting_is_said() -> None:
    rows = minutes(m5=(3, 1))
    rows[5]["uncounted"] = True
    found = hour(rows)
    assert found.rows == [("12:05", "3+", "1+")]
    assert found.told.startswith("at least 4 jobs")


def test_each_filter_but_the_status_has_its_words() -> None:
    kept = {"q": "night", "status": "failed", "failures": "1", "since": "24h"}
    assert [(name, words.replace("\u2068", "").replace("\u2069", "")) for name, words in remarks(kept)] == [
        ("q", "name or id begins with night"),
        ("failures", "with failures"),
        ("since", "since 24h ago"),
    ]
