"""Repeats a whole transaction after a temporary failure, as often as the table of errors (failures.py) says."""

import contextvars
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_random_exponential

from runner_core.failures import Failure, failure_of
from runner_core.sqlstate import sqlstate
from runner_core.telemetry import DB_WRITE_RETRIES

log = logging.getLogger("db")
T = TypeVar("T")
MAX_SECONDS = 20

_number: contextvars.ContextVar[int] = contextvars.ContextVar("try_number", default=0)


def try_number() -> int:
    """Return the number of this thread's current try, from 1; 0 outside `retry`."""
    return _number.get()


def retry(verb: Callable[[], T], tries: Callable[[Failure], int]) -> T:
    """Call `verb` until it succeeds: at most `tries(failure)` times, and for at most 20 s.

    The pauses have full jitter. Raises the last error.
    """
    began = time.monotonic()
    try:
        return _try(verb, 1)
    except Exception as error:
        if tries(failure_of(error)) == 1:
            raise
        failed = error

    def is_enough(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        enough = error is not None and state.attempt_number >= tries(failure_of(error))
        return enough or time.monotonic() - began >= MAX_SECONDS

    # Built only after a first failure: building it takes as long as sending a statement.
    retrying = Retrying(
        retry=retry_if_exception(lambda error: tries(failure_of(error)) > 1),
        stop=is_enough,
        wait=wait_random_exponential(multiplier=0.05, max=2),
        before_sleep=_before_retry,
        reraise=True,
    )
    for attempt in retrying:
        with attempt:
            number = attempt.retry_state.attempt_number
            if number == 1:
                raise failed
            return _try(verb, number)
    raise AssertionError("unreachable: the loop returns or raises")


def _try(verb: Callable[[], T], number: int) -> T:
    before = _number.set(number)
    try:
        return verb()
    finally:
        _number.reset(before)


def _before_retry(state: RetryCallState) -> None:
    DB_WRITE_RETRIES.inc()
    error = state.outcome.exception() if state.outcome else None
    log.warning("trying again after sqlstate=%s (try %d)", sqlstate(error), state.attempt_number)
