"""The ledgers of a chaos run's parts add up, and what one part lacks or lost is said of the whole."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.chaos import ledger as ledgers
from bench.chaos import merge, page, report
from bench.chaos.drills import Drill
from bench.chaos.faults import Fault
from bench.chaos.ledger import Ledger, LedgerError
from bench.chaos.modes import DEFAULT, FAST, Mode
from bench.chaos.storm import Injection
from bench.chaos.tally import Tally

NONE, KILL, CUT = (Fault(name, f"it is {name}", lambda scene: None) for name in ("none", "worker_killed", "redis_cut"))
FAULTS = [NONE, KILL, CUT]
DRILL = Drill("Redis: FLUSHALL", 1000, 0.5, 1.5)


def part(seed: int, *, mode: Mode = FAST, caused: int = 3, **changes: Any) -> Ledger:
    """A part in which each fault was caused so often and all went well."""
    injections = [
        Injection(fault, 10.0 * n, 10.0 * n, 10.0 * n + seed) for n in range(caused) for fault in FAULTS
    ]  # each is felt for as many seconds as the seed says
    tally = Tally(
        accepted=600, terminal=600, region_runs=1200, answers=2400, calls=2410, vain_calls=2, verified=True,
        tries=2420, received=2415, repeated=[5.0] * 8, struck=["a", "b"],
        statuses=Counter(completed=599, partial=1), failures=Counter(http_503=1),
    )  # fmt: skip
    about = {"seeds": [seed], "commit": "abc1234", "machine": "a machine", "jobs_per_second": 3.0}
    about |= {"spans": [(100.0 * seed, 100.0 * seed + 150.0)]}
    rows = ledgers.rows(FAULTS, injections, tally, [5.0])
    return replace(ledgers.part(mode, about, rows, tally, fenced=1, drilled=[DRILL], reclaimed=[1.0 * seed]), **changes)


def test_merged_counts_are_the_sums_of_the_parts() -> None:
    whole = merge.merge([part(1), part(2), part(4, failures={"http_429": 2}, caused=4)])
    assert (whole.accepted, whole.terminal, whole.region_runs, whole.answers) == (1800, 1800, 3600, 7200)
    assert (whole.calls, whole.repeated, whole.vain_calls, whole.fenced) == (7230, 24, 6, 3)
    assert (whole.tries, whole.received, whole.struck) == (7260, 7245, 6)
    assert (whole.statuses, whole.failures) == ({"completed": 1797, "partial": 3}, {"http_503": 2, "http_429": 2})
    assert [(row.name, row.runs) for row in whole.rows] == [("none", 10), ("worker_killed", 10), ("redis_cut", 10)]
    assert whole.faults == 20, "that nothing happens is no fault"
    assert [sum(getattr(row, name) for row in whole.rows) for name in ("repeated", "fenced")] == [24, 3]
    assert whole.rows[1].recovery == [1, 1, 1, 2, 2, 2, 4, 4, 4, 4]
    assert page.points(whole)[2:] == [
        "- Redis: FLUSHALL, with 1000 regions queued: noticed after 0.5 s, the last one staged again after 1.5 s.",
        "- worker: SIGKILL: each of the 3 regions that it held was claimed again after 1.0 to 4.0 s.",
    ]
    assert whole.clean
    assert whole.short == []
    assert whole.status == 0


@pytest.mark.parametrize("changes", [
    {"lost": ["chaos-000007: accepted and unknown"], "terminal": 599},
    {"terminal": 599},
    {"duplicated": ["chaos-000007: 2 jobs of one submission"]},
    {"wrong": ["chaos-000007 US m1: 2 requests received, 1 tries written"]},
    {"verified": False},
])  # fmt: skip
def test_a_part_that_broke_a_promise_breaks_the_whole(changes: dict[str, Any], tmp_path: Path) -> None:
    """Whichever part it was; its seed is named, and the exit status is 1."""
    for parts in ([part(1), part(2, **changes)], [part(2, **changes), part(1)]):
        whole = merge.merge(parts)
        assert not whole.clean
        words = [*whole.lost, *whole.duplicated, *whole.wrong]
        assert words == [
            f"seed 2: {word}" for name in ("lost", "duplicated", "wrong") for word in changes.get(name, [])
        ]
        assert merge.publish(parts, tmp_path / "faults.md") == 1
        text = (tmp_path / "faults.md").read_text()
        assert "**NOT CLEAN**" in text
        assert all(word in text for word in words)


def test_a_part_with_too_little_of_a_fault_is_named(tmp_path: Path) -> None:
    """Others cannot make up for it: each part proves something, or the whole proves nothing."""
    few = part(2)
    few.rows[1] = replace(few.rows[1], runs=2, missed=1)
    whole = merge.merge([part(1, caused=9), few, part(3, accepted=499, terminal=499)])
    assert whole.clean
    assert whole.short == [
        "seed 2: worker_killed was caused 2 times, at least 3 are needed",
        "seed 2: worker_killed met no run in flight, 1 times",
        "seed 3: 499 jobs accepted, at least 500 are needed",
    ]
    assert merge.publish([part(1), few], tmp_path / "faults.md") == 2
    assert "**proves nothing** (seed 2: worker_killed was caused 2 times" in (tmp_path / "faults.md").read_text()


def test_fewer_faults_than_were_asked_for_prove_nothing(tmp_path: Path) -> None:
    parts = [part(1), part(2)]
    assert merge.publish(parts, tmp_path / "faults.md", least=12) == 0
    assert merge.publish(parts, tmp_path / "faults.md", least=13) == 2


@pytest.mark.parametrize(("changes", "words"), [
    ({"commit": "abc1234-dirty"}, "seed 2 has another commit than seed 1: abc1234-dirty, not abc1234"),
    ({"settings": {"LEASE_SECONDS": "3"}}, "seed 2 has another settings than seed 1"),
    ({"machine": "another"}, "seed 2 has another machine than seed 1"),
    ({"rows": part(2).rows[:2]}, "seed 2 has other faults than seed 1"),
    ({"seeds": [1]}, "the part of seed 1 was given more than once"),
])  # fmt: skip
def test_parts_that_are_unlike_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=words):
        merge.publish([part(1), part(2, **changes)], tmp_path / "faults.md")
    assert not (tmp_path / "faults.md").exists()


def test_ledgers_are_kept_and_read_again(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "one.json", [part(1), part(2)])
    assert ledgers.read(tmp_path / "one.json") == [part(1), part(2)]
    for broken in ("", "[{}]", "{", '["a"]', json.dumps([{"mode": "fast"}])):
        (tmp_path / "two.json").write_text(broken)
        with pytest.raises(LedgerError, match=r"two\.json"):
            ledgers.read(tmp_path / "two.json")


def test_the_command_writes_the_page_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        ledgers.write(tmp_path / f"{seed}.json", [part(seed)])
    where = ["--page", str(tmp_path / "faults.md")]
    assert merge.main([*where, str(tmp_path / "1.json"), str(tmp_path / "2.json")]) == 0
    assert "12 faults in 2 parts (seeds 1, 2)" in (tmp_path / "faults.md").read_text()
    assert merge.main([*where, str(tmp_path / "1.json"), str(tmp_path / "1.json")]) == 2
    assert "given more than once" in capsys.readouterr().err


def test_a_section_stays_as_it_is_while_the_other_is_written_anew(tmp_path: Path) -> None:
    """From its ledgers, or, where there are none yet, from the page."""
    path = tmp_path / "faults.md"
    path.write_text(
        "# Faults\n\n## Recovery, with the default lease\n\nOf an older commit.\n\n## How to read it\n\n- .\n"
    )
    assert merge.publish([part(1)], path) == 0
    assert "6 faults in 1 part (seeds 1)" in path.read_text()
    assert "\n## Recovery, with the default lease\n\nOf an older commit.\n\n## How" in path.read_text()
    assert merge.publish([part(1, mode=DEFAULT, caused=5, commit="def5678")], path) == 0
    assert "Of an older commit." not in path.read_text()
    first = path.read_text()
    assert first.index("of commit abc1234. **Lease 1 s, breaker 2 s.**") < first.index(
        "of commit def5678. **Lease 15 s"
    )
    assert merge.publish([], path) == 0
    assert path.read_text() == first


def test_the_page_of_the_project_is_what_its_ledgers_say(tmp_path: Path) -> None:
    kept = merge.PAGE.with_suffix(".json")
    if not kept.exists():
        pytest.skip("no ledgers are kept yet")
    (tmp_path / "faults.json").write_text(kept.read_text())
    (tmp_path / "faults.md").write_text(merge.PAGE.read_text())
    assert merge.publish([], tmp_path / "faults.md") == 0
    assert (tmp_path / "faults.md").read_text() == merge.PAGE.read_text()
    assert (tmp_path / "faults.json").read_text() == kept.read_text()


def test_a_run_that_left_something_out_proves_nothing() -> None:
    def found(*injections: Injection, accepted: int = 1) -> list[str]:
        rows = ledgers.rows([KILL, CUT], list(injections), Tally(), [])
        return ledgers.shortcomings(part(1, rows=rows, accepted=accepted), least_accepted=1, least_runs=1)

    met, missed = Injection(KILL, 1.0, 1.0, 2.0), Injection(KILL, 1.0, 1.0, missed="no worker held a lease")
    cut = Injection(CUT, 3.0, 3.0, 4.0)
    assert found(met, cut) == []
    assert found(met) == ["redis_cut was caused 0 times, at least 1 are needed"]
    assert found(met, missed, cut) == ["worker_killed met no run in flight, 1 times"]
    assert found(met, cut, accepted=0) == ["0 jobs accepted, at least 1 are needed"]


def test_the_table_gives_what_was_found_to_the_fault_before_it() -> None:
    injections = [Injection(KILL, 1.0, 1.0, 2.0), Injection(CUT, 3.0, 3.0, missed="x"), Injection(CUT, 5.0, 5.0, 8.0)]
    injections += [Injection(CUT, 9.0, 9.0)]
    tally = Tally(lost=[(6.0, "a")], repeated=[1.5, 1.6])
    rows = ledgers.rows([KILL, CUT], injections, tally, [5.5])
    killed, cut, both = page.table(part(1, rows=rows, lost=["a"], repeated=2)).splitlines()[2:]
    assert killed == "| it is worker_killed | 1 | 0 | 0 | 2 | 0 | 1.0 | 1.0 |"
    assert cut == "| it is redis_cut | 2 | 1 | 0 | 0 | 1 | inf | inf |"
    assert both.startswith("| **all faults** | 3 | 1 | 0 | 2 | 1 |")
    assert json.loads(report.summary(7, injections, tally, 1))["faults"] == {"redis_cut": 2, "worker_killed": 1}


@pytest.mark.parametrize(("spans", "most"), [
    ([(0.0, 9.0)], 1),
    ([(0.0, 9.0), (1.0, 8.0), (8.0, 20.0)], 2),
    ([(0.0, 9.0), (9.0, 20.0)], 1),
])  # fmt: skip
def test_the_page_counts_the_stacks_that_ran_side_by_side(spans: list[tuple[float, float]], most: int) -> None:
    assert page.side_by_side(spans) == most
