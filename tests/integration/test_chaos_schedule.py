"""The order of the faults follows from the seed, and a long run is cut into parts that share nothing."""

import itertools
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.chaos.__main__ import main
from bench.chaos.faults import Fault, all_faults
from bench.chaos.modes import DEFAULT, FAST, QUICK
from bench.chaos.parts import LONGEST_SECONDS, plan, run
from bench.chaos.storm import schedule
from runner_core.settings import Settings
from tests.jobs import until

FAULTS = [Fault(name, name, lambda scene: None) for name in "abcdef"]


def test_each_round_has_every_fault_once_in_an_order_of_its_own() -> None:
    names = [fault.name for fault in schedule(FAULTS, 3, 7, lambda: True)]
    rounds = [names[n : n + len(FAULTS)] for n in range(0, len(names), len(FAULTS))]
    assert [sorted(one) for one in rounds] == [list("abcdef")] * 3
    assert len({tuple(one) for one in rounds}) == 3
    assert names == [fault.name for fault in schedule(FAULTS, 3, 7, lambda: True)]
    assert names != [fault.name for fault in schedule(FAULTS, 3, 8, lambda: True)]


def test_after_its_rounds_a_run_goes_on_until_the_time_is_over() -> None:
    """The order does not depend on the time, so that a seed gives the same faults again."""
    asked = itertools.count(1)
    names = [fault.name for fault in schedule(FAULTS, 3, 7, lambda: next(asked) > 8)]
    assert len(names) == 3 * 6 + 8
    assert names[:18] == [fault.name for fault in schedule(FAULTS, 3, 7, lambda: True)]
    assert min(Counter(names).values()) >= 4


@pytest.mark.parametrize(
    ("hours", "stacks", "rounds"), [(0.5, 3, 1), (2 / 3, 1, 1), (0.7, 2, 2), (5.0, 2, 8), (0, 2, 1)]
)
def test_parts_are_at_most_40_minutes_long_and_fill_the_hours(hours: float, stacks: int, rounds: int) -> None:
    lanes = plan(hours, stacks, 100, Path("fast"))
    parts = [part for lane in lanes for part in lane]
    assert [len(lane) for lane in lanes] == [rounds] * stacks
    assert sorted(part.seed for part in parts) == list(range(100, 100 + rounds * stacks))
    assert len({part.stem for part in parts}) == len(parts)
    assert all(part.seconds <= LONGEST_SECONDS for part in parts)
    assert sum(part.seconds for part in lanes[0]) == pytest.approx(hours * 3600)


def test_a_part_that_ends_without_a_ledger_is_named_and_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes of the stack's place: one in the middle fails, the others leave what they found."""
    program = tmp_path / "bench" / "chaos"
    program.mkdir(parents=True)
    (program / "__main__.py").write_text(
        "import sys, pathlib\n"
        "told = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "print('faults begin', flush=True)\n"
        "if told['--seed'] == '2': sys.exit('no room')\n"
        "pathlib.Path(told['--ledger']).write_text(told['--rate'])\n"
    )
    monkeypatch.setattr("bench.chaos.parts.CHECKOUT", tmp_path)
    lanes = plan(1.0, 2, 1, tmp_path / "out" / "fast")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fast-2.json").write_text("an earlier run's")
    assert [part.seed for part in run(lanes, ["--rate", "3"])] == [2]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == [
        "fast-1.json",
        "fast-3.json",
        "fast-4.json",
    ]
    assert "no room" in (tmp_path / "out" / "fast-2.log").read_text()


def test_a_ctrl_c_ends_every_stack_and_begins_no_other(tmp_path: Path) -> None:
    """It returns when all have ended, and what they had to say is in their logs."""
    program = tmp_path / "bench" / "chaos"
    program.mkdir(parents=True)
    (program / "__main__.py").write_text(
        "import pathlib, signal, sys, time\n"
        "told = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "own = pathlib.Path(told['--ledger']).with_suffix('.stopped')\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "try:\n"
        "    print('faults begin', flush=True)\n"
        "    signal.pause()\n"
        "except KeyboardInterrupt: pass\n"
        "while told['--seed'] == '1' and not own.with_name('fast-2.stopped').exists(): time.sleep(0.05)\n"
        "own.touch()\n"
        "for n in range(100_000): print('last words', n)\n"
    )
    caller = (
        "import signal, sys, pathlib, threading, os\n"
        "from bench.chaos import parts\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "parts.CHECKOUT = here\n"
        "try: parts.run(parts.plan(1.0, 2, 1, here / 'fast'), [])\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    logs = [tmp_path / "fast-1.log", tmp_path / "fast-2.log"]
    with subprocess.Popen([sys.executable, "-c", caller, str(tmp_path)]) as child:
        until(lambda: all(log.exists() and "begin" in log.read_text() for log in logs))
        child.send_signal(signal.SIGINT)
        child.wait(timeout=60)
    assert child.returncode == 130
    assert sorted(path.name for path in tmp_path.glob("*.stopped")) == ["fast-1.stopped", "fast-2.stopped"]
    assert [log.read_text().splitlines()[-1] for log in logs] == ["last words 99999"] * 2
    assert not (tmp_path / "fast-3.log").exists()


def test_each_mode_has_settings_that_the_product_takes() -> None:
    assert (DEFAULT.product.jobs.lease_seconds, DEFAULT.product.worker.breaker_seconds) == (15, 30)
    assert (FAST.product.jobs.lease_seconds, FAST.product.worker.breaker_seconds) == (1, 2)
    assert DEFAULT.product == Settings.from_env({})
    assert QUICK.product.jobs.lease_seconds == 3
    assert (DEFAULT.least_runs, DEFAULT.least_accepted) == (FAST.least_runs, FAST.least_accepted) == (3, 500)


@pytest.mark.parametrize("mode", [DEFAULT, FAST])
def test_a_fault_lasts_longer_than_the_limit_that_it_has_to_exceed(mode: object) -> None:
    """A refused or silent database outlasts the wait for a connection, which is the statement's limit and a second."""
    assert isinstance(mode, type(DEFAULT))
    limit = mode.product.database.write_timeout_ms / 1000 + 1
    assert min(mode.spans.refused, mode.spans.black_holed) > limit
    assert mode.spans.black_holed > mode.product.redis.timeout_seconds
    paused = next(f for f in all_faults(mode.product.jobs.lease_seconds, mode.spans) if f.name == "worker_paused")
    assert paused.seconds > mode.product.jobs.lease_seconds


@pytest.mark.parametrize("asked", ["--stacks 2", "--quick --stacks 2", "--quick --hours 1", "--quick --fast"])
def test_what_would_prove_nothing_is_refused(asked: str) -> None:
    with pytest.raises(SystemExit) as refused:
        main(asked.split())
    assert refused.value.code == 2
