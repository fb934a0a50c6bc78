"""The statuses have one list each, which every process and every page reads."""

import re
from pathlib import Path

import pytest

from runner_core.statuses import ENDED, FIRST_REGIONS, JOB_STATUSES, OPEN, in_order, sign, verdict, word

ROOT = Path(__file__).parents[2]
PROCESSES = ("runner_api", "runner_cli", "runner_core", "runner_queue", "runner_worker", "outbox_publisher")


@pytest.mark.parametrize("words", [OPEN, ENDED, FIRST_REGIONS])
def test_no_other_file_has_the_list(words: tuple[str, ...]) -> None:
    listed = re.compile(r",\s*".join(f"[\"']{word}[\"']" for word in words))
    files = [path for name in PROCESSES for kind in ("*.py", "*.html") for path in (ROOT / name).rglob(kind)]
    assert [str(path.relative_to(ROOT)) for path in files if listed.search(path.read_text())] == [
        "runner_core/statuses.py"
    ]


def test_the_table_of_jobs_allows_the_same_statuses() -> None:
    schema = (ROOT / "sql/schema.sql").read_text()
    allowed = re.search(r"CONSTRAINT jobs_status_check CHECK \(\(status = ANY \(ARRAY\[(.*?)\]\)", schema)
    assert allowed
    assert re.findall(r"'(\w+)'", allowed[1]) == list(JOB_STATUSES)
    assert (*OPEN, *ENDED) == JOB_STATUSES


@pytest.mark.parametrize(
    ("status", "shown_as", "read_as"),
    [
        ("success", "completed", "success"),
        ("timeout", "failed", "timeout"),
        ("ok", "completed", "completed"),
        ("started", "running", "running"),
        *((status, status, status) for status in (*JOB_STATUSES, "pending", "partial")),
    ],
)
def test_each_status_has_one_sign_and_one_word(status: str, shown_as: str, read_as: str) -> None:
    assert (sign(status), word(status)) == (shown_as, read_as)


def test_every_sign_is_drawn() -> None:
    drawn = set(re.findall(r'id="i-(\w+)"', (ROOT / "runner_api/portal/templates/ui_signs.html").read_text()))
    assert {*JOB_STATUSES, "pending", "partial"} <= drawn


def test_a_job_that_completed_in_too_few_regions_is_partial() -> None:
    assert verdict("completed", "partial") == "partial"
    assert [verdict(status, "partial") for status in ("running", "failed")] == ["running", "failed"]
    assert verdict("completed", None) == "completed"


def test_regions_come_in_one_order() -> None:
    assert in_order({"LATAM", "EU", "ASIA", "AFRICA", "US"}) == ["US", "EU", "ASIA", "AFRICA", "LATAM"]


def test_a_completed_job_with_failed_units_is_partial() -> None:
    assert verdict("completed", "completed", 1) == "partial"
    assert verdict("completed", "completed", None) == "completed"
    assert [verdict(status, "running", 1) for status in ("running", "failed", "cancelled")] == [
        "running",
        "failed",
        "cancelled",
    ]
