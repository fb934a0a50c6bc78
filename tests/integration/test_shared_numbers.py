"""Numbers that forks of one process share. Each test is a process of its own: where numbers are is the process's."""

import subprocess
import sys
import textwrap

BEGIN = """
import json, os, threading
from prometheus_client import CollectorRegistry, Counter
from runner_core import telemetry  # the metrics are made with our numbers
from runner_core.shared_numbers import SERIES, SharedNumbers

registry = CollectorRegistry()
counter = Counter("things", "Things.", ["kind"], registry=registry)

def counted(kind):
    return numbers.sums().get(json.dumps(["things", "things_total", {"kind": kind}]).encode(), 0.0)

def here(kind):
    return registry.get_sample_value("things_total", {"kind": kind})

def fork(number, work):
    numbers.reserve(number)
    if pid := os.fork():
        return pid
    numbers.enter(number)
    work()
    os._exit(0)

def end(number, pid):
    os.waitpid(pid, 0)
    numbers.fold(number)
"""


def run(script: str) -> None:
    """Run it after BEGIN; what it asserts must hold."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_each_process_counted_is_added_up_while_it_lives_and_afterwards() -> None:
    run("""
    counter.labels("a").inc(1)
    numbers = SharedNumbers(2)
    counter.labels("a").inc(1)
    hold_reader, hold_writer = os.pipe()
    told_reader, told_writer = os.pipe()

    def work():
        assert here("a") == 0
        counter.labels("a").inc(10)
        counter.labels("b").inc(5)
        os.write(told_writer, b".")
        os.read(hold_reader, 1)

    pids = [fork(number, work) for number in (1, 2)]
    os.read(told_reader, 1), os.read(told_reader, 1)
    assert (counted("a"), counted("b")) == (22, 10)
    os.write(hold_writer, b"..")
    end(1, pids[0]), end(2, pids[1])
    assert (counted("a"), counted("b")) == (22, 10)
    counter.labels("b").inc()  # first named by the forks
    assert counted("b") == 11
    """)


def test_places_serve_again_and_a_process_without_one_counts_for_itself() -> None:
    run("""
    numbers = SharedNumbers(1)
    for number in range(5):
        end(number, fork(number, counter.labels("a").inc))
    assert counted("a") == 5
    hold_reader, hold_writer = os.pipe()
    first = fork(5, lambda: os.read(hold_reader, 1))

    def work():
        counter.labels("a").inc()
        assert here("a") == 1

    second = fork(6, work)
    assert os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]) == 0
    numbers.fold(6)
    os.write(hold_writer, b".")
    end(5, first)
    assert counted("a") == 5
    """)


def test_more_series_than_there_is_room_for_are_counted_and_not_told() -> None:
    run("""
    numbers = SharedNumbers(1)
    for kind in range(SERIES + 10):
        counter.labels(str(kind)).inc()
        counter.labels(str(kind)).inc()
    assert len(numbers.sums()) == SERIES
    assert here("0") == here(str(SERIES + 9)) == 2
    assert (counted("0"), counted(str(SERIES + 9))) == (2, 0)
    counter.labels("x" * 3_000_000).inc()
    assert counted("0") == 2
    """)


def test_who_reads_while_the_numbers_of_an_ended_process_are_moved_misses_none() -> None:
    run("""
    import sys
    sys.setswitchinterval(1e-6)
    numbers = SharedNumbers(1)
    seen, stopped = [], threading.Event()

    def work():
        for kind in range(300):
            counter.labels(str(kind)).inc()

    def read():
        while not stopped.is_set():
            seen.append(sum(numbers.sums().values()))

    reader = threading.Thread(target=read)
    for number in range(30):
        end(number, fork(number, work))
        if number == 0:
            reader.start()
    stopped.set()
    reader.join()
    assert seen == sorted(seen)
    assert sum(numbers.sums().values()) == 30 * 300
    """)
