"""The rows about failover: what each may lose, and how their counts add up."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from bench.chaos import ledger as ledgers
from bench.chaos import merge, tally
from bench.chaos.afterwards import first_accepted, read_only_lines
from bench.chaos.client import Submission
from bench.chaos.failover_rounds import excuse
from bench.chaos.failovers import all_failovers
from bench.chaos.ledger import Ledger
from bench.chaos.modes import FAILOVER
from bench.chaos.storm import Injection
from bench.chaos.tally import Tally


def one(seed: int, counted: Tally) -> Ledger:
    """The ledger of a round in which each row recovered in as many seconds as the seed says."""
    rows = [
        ledgers.rows([row.fault], [Injection(row.fault, 10.0, 10.0, 10.0 + seed)], Tally(), [])[0]
        for row in all_failovers()
    ]
    rows = [replace(row, first_accepted=[seed / 10], read_only=4 * (row.name == "read_only")) for row in rows]
    about = {"seeds": [seed], "commit": "abc1234", "machine": "a machine", "jobs_per_second": 3.0}
    about |= {"spans": [(100.0 * seed, 100.0 * seed + 50.0)]}
    return ledgers.part(FAILOVER, about, rows, counted, fenced=0, drilled=[], reclaimed=[])


def test_only_an_asynchronous_standby_may_lose_what_was_acknowledged() -> None:
    rows = all_failovers()
    assert len({row.fault.name for row in rows}) == len(rows) == 10
    assert {row.fault.name for row in rows if row.may_lose} == {"primary_killed_async", "old_primary_back"}
    assert all("asynchronous" in row.fault.told for row in rows if row.may_lose)


def test_the_stacks_of_a_round_are_added_up() -> None:
    both = tally.total(
        [
            Tally(accepted=2, lost=[(1.0, "a")], statuses=Counter(completed=2), verified=True),
            Tally(accepted=3, repeated=[4.0], statuses=Counter(completed=1, partial=2), verified=True),
        ]
    )
    assert (both.accepted, both.lost, both.repeated, both.verified) == (5, [(1.0, "a")], [4.0], True)
    assert both.statuses == Counter(completed=3, partial=2)
    assert not tally.total([Tally(verified=True), Tally()]).verified


def test_what_follows_from_a_loss_is_excused_and_nothing_else() -> None:
    kept = [
        (1.0, "chaos-000009: status failed, its rows say completed"),
        (1.0, "chaos-000012: answered and never asked"),
    ]
    counted = Tally(
        accepted=9,
        terminal=8,
        lost=[(1.0, "chaos-000001: accepted and unknown"), (9.0, "chaos-000013: accepted and unknown")],
        wrong=[
            (1.0, "chaos-000001: asked, and neither answered nor failed, in US m1"),
            (0.0, "chaos-000002 US m1: 2 requests received, 1 tries written"),
            (0.0, "7 calls are not answers, repeated and vain ones together"),
            *kept,
        ],
    )
    assert excuse(counted, 5.0) == ["chaos-000001: accepted and unknown"]
    lost_by_the_new_primary = [(9.0, "chaos-000013: accepted and unknown")]
    assert (counted.wrong, counted.lost, counted.accepted) == (kept, lost_by_the_new_primary, 8)


def test_rounds_have_a_section_of_the_page_with_a_row_for_each_failover(tmp_path: Path) -> None:
    counted = Tally(accepted=600, terminal=600, verified=True)
    assert merge.publish([one(seed, counted) for seed in range(1, 6)], tmp_path / "faults.md") == 0
    text = (tmp_path / "faults.md").read_text()
    assert "## Failover\n\n50 faults in 5 parts (seeds 1, 2, 3, 4, 5)" in text
    for row in all_failovers():
        told = row.fault.told + (" (from its end)" if row.fault.from_end else "")
        assert f"| {told} | 5 | 0 | 0 | 0 | 0 | 3.0 | 5.0 | 0.3 | 0.5 |" in text
    assert (
        "about a read-only server, later than 10 s after the fault (from its end, where the row says so): 20." in text
    )


def test_a_job_that_was_sent_before_the_fault_is_not_the_first_after_it() -> None:
    def submission(began: float, accepted: float | None) -> Submission:
        return Submission(1, [], [], [], b"", began, accepted)

    found = [submission(9.0, 10.5), submission(11.0, 14.0), submission(10.5, None), submission(10.2, 12.5)]
    assert first_accepted(found, 10.0) == 2.5
    assert first_accepted(found[:1], 10.0) is None


def test_only_late_lines_about_a_read_only_server_count(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, 12, 0, 0).astimezone()

    def line(seconds: int, words: str) -> str:
        return f"{moment + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S},000 WARNING {words}"

    refused = "cannot execute UPDATE in a read-only transaction"
    log = tmp_path / "worker.log"
    log.write_text(
        "\n".join([line(9, refused), line(11, refused), line(12, "ready"), line(13, "SQLSTATE 25006"), refused])
    )
    assert read_only_lines([log], moment.timestamp()) == 2
