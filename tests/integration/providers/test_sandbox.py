"""The sandbox, which simulates answers and fails to order."""

import subprocess
import sys
import threading
import time

import pytest

from tests.asking import Make, failure, question


def test_the_sandbox_always_gives_the_same_simulated_answer(make: Make) -> None:
    providers, provider = make("sandbox")
    one, two = (providers.ask(provider, question()) for _ in range(2))
    assert (one.answer, one.sent) == (two.answer, two.sent)
    assert (one.answer.simulated, one.refused, one.provider_id, one.calls) == (True, False, "sandbox-us", 1)
    assert one.answer.usage["total_tokens"] > 0


def test_the_sandbox_differs_between_regions_and_questions(make: Make) -> None:
    providers, provider = make("sandbox")
    asked = [question(region=region, question_id=f"q{n}") for region in ("US", "EU") for n in range(8)]
    assert len({providers.ask(provider, ask).answer.text for ask in asked}) > 6


def test_the_sandbox_refuses_to_order(make: Make) -> None:
    providers, provider = make("sandbox", options={"refuse": ["q2"]})
    replies = [providers.ask(provider, question(question_id=name)) for name in ("q1", "q2")]
    assert [(reply.refused, reply.refusal_source) for reply in replies] == [(False, None), (True, "provider")]


@pytest.mark.parametrize(("code", "calls"), [("http_503", 3), ("http_401", 1)])
def test_the_sandbox_fails_to_order(make: Make, code: str, calls: int) -> None:
    failed = failure(make("sandbox", options={"fail": code}), question())
    assert (failed.code, failed.calls) == (code, calls)


def test_the_sandbox_hangs_until_the_deadline_or_the_cancellation(make: Make) -> None:
    made = make("sandbox", options={"hang": True})
    assert failure(made, question(seconds=0.1)).code == "timeout"
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    assert failure(made, question(), cancelled).code == "cancelled"


def test_the_sandbox_delays(make: Make) -> None:
    providers, provider = make("sandbox", options={"delay_seconds": 0.2})
    started = time.monotonic()
    providers.ask(provider, question(), threading.Event())
    assert time.monotonic() - started >= 0.2


def test_the_sandbox_needs_no_http_client() -> None:
    """A worker that simulates pays neither the memory nor the start time of one."""
    code = "import sys, runner_worker.providers as p; print(sorted({'httptools', 'httpx2', 'h11'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
