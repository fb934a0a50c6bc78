"""What a list of jobs is asked for: texts that PostgreSQL can compare, times and ages, and paths into a plan."""

from datetime import UTC, datetime, timedelta

import pytest

from runner_api.http.job_filters import shown, since
from runner_core.store.job_lists import Filters


@pytest.mark.parametrize(("text", "age"), [("90m", 90), ("24h", 1440), ("7d", 10080)])
def test_an_age_is_counted_from_now(text: str, age: int) -> None:
    found = since(text)
    assert found
    assert abs(datetime.now(UTC) - timedelta(minutes=age) - found) < timedelta(minutes=1)


def test_a_time_without_a_zone_is_utc() -> None:
    assert since("2026-01-31T12:00:00") == since("2026-01-31T13:00:00+01:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "7w", "-1d", "99999d", "٣d", "0001-01-01T00:00:00+23:00"])
def test_what_is_neither_is_no_time(text: str) -> None:
    assert since(text) is None


def test_a_page_leaves_out_what_no_filter_can_be() -> None:
    kept, filters = shown({"status": "done", "failures": "yes", "since": "x", "model": " ", "cursor": "c"})
    assert (kept, filters) == ({}, Filters())
    kept, filters = shown({"q": "a\x00b" + "x" * 300, "status": "partial"})
    assert len(kept["q"]) == 255
    assert "\x00" not in kept["q"]
    assert (filters.state, filters.status) == ("partial", None)


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        (Filters(), None),
        (Filters(region="EU"), '$."EU"'),
        (Filters(model='a "b" \\'), '$.*[*] ? (@ == "a \\"b\\" \\\\")'),
        (Filters(model="m", region="EU"), '$."EU"[*] ? (@ == "m")'),
    ],
)
def test_a_path_finds_models_and_regions_in_a_plan(filters: Filters, path: str | None) -> None:
    assert filters.path == path
