"""The publisher's process: it ends in order with a signal, and as a whole when one part of it can't go on."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import outbox_publisher.__main__ as publisher
from runner_core.settings import Settings
from tests.jobs import opened, settings_for


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Iterator[Settings]:
    """The process's settings; the test's own signal handlers are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield settings_for(database_url, redis_url)
    for number, handler in before.items():
        signal.signal(number, handler)


def served(settings: Settings, monkeypatch: pytest.MonkeyPatch, batch: Any) -> int:
    """The code with which a process ends whose every push does this."""
    monkeypatch.setattr(publisher, "publish_batch", batch)
    with opened(settings, "publisher") as db:
        return publisher.serve(db)


def test_a_signal_ends_every_thread_in_order(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def batch(*_: object) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    assert served(settings, monkeypatch, batch) == 0
    assert not {"relay", "sweeper", "gauges", "retention"} & {thread.name for thread in threading.enumerate()}


def test_leases_are_taken_back_while_old_rows_are_removed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = threading.Event()

    def removing(*_: object) -> None:
        assert swept.wait(20), "the sweeper waited for the removal"
        os.kill(os.getpid(), signal.SIGTERM)

    def sweep(self: object) -> int:
        swept.set()
        return 0

    monkeypatch.setattr(publisher, "remove_old", removing)
    monkeypatch.setattr(publisher.Sweeper, "run_once", sweep)
    assert served(settings, monkeypatch, lambda *_: 0) == 0
    assert swept.is_set()


def test_a_push_that_breaks_ends_the_process_and_not_half_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def batch(*_: object) -> int:
        raise LookupError("a mistake of ours")

    assert served(settings, monkeypatch, batch) == 1
    assert not {"relay", "sweeper", "gauges", "retention"} & {thread.name for thread in threading.enumerate()}
    assert "unexpected error while publishing" in caplog.text
