"""Whether another try follows, and after which rest."""

import time
from typing import Any

import pytest

from runner_worker.providers.failures import TryFailed
from runner_worker.providers.retries import Retries


def rest(failed: TryFailed, *codes: str, tries: int = 3, seconds: float = 1000.0) -> float | None:
    errors: list[dict[str, Any]] = [{"code": code} for code in codes]
    return Retries(tries, 0.01).rest(failed, errors, time.monotonic() + seconds)


def slow(seconds: float) -> TryFailed:
    return TryFailed.from_status(429, retry_after=seconds)


@pytest.mark.parametrize(
    ("code", "earlier", "again"),
    [
        ("http_503", (), True),
        ("http_503", ("http_503",), True),
        ("http_503", ("http_503", "http_503"), False),
        ("malformed_answer", (), True),
        ("malformed_answer", ("malformed_answer",), False),
        ("malformed_answer", ("http_503",), True),
        ("not_http", ("not_http",), False),
        ("read_timeout", ("read_timeout",), False),
        ("quota_exhausted", (), False),
        ("token_limit", (), False),
        ("http_400", (), False),
        ("adapter_failed", (), False),
        ("timeout", (), False),
        ("cancelled", (), False),
    ],
)
def test_the_table_says_how_often(code: str, earlier: tuple[str, ...], again: bool) -> None:
    assert (rest(TryFailed(code), *earlier) is not None) is again


def test_what_is_malformed_twice_is_so_for_good() -> None:
    failed = TryFailed("malformed_answer")
    rest(failed, "malformed_answer")
    assert failed.transient is False
    timed_out = TryFailed("read_timeout")
    rest(timed_out, "read_timeout")
    assert timed_out.transient is True


def test_a_rest_is_obeyed() -> None:
    failed = slow(2.5)
    assert rest(failed) == 2.5
    assert failed.rest_told == ""


def test_a_long_rest_is_cut_and_told() -> None:
    failed = slow(300)
    assert rest(failed) == 60.0
    assert failed.rest_told == "It asks for a rest of 300 s; the next try comes after 60 s."


@pytest.mark.parametrize(
    ("asked_for", "told"), [(40_000, "40000"), (61, "61"), (1e14, "100000000000000"), (2.5, "2.5")]
)
def test_a_rest_beyond_the_deadline_ends_the_call_at_once(asked_for: float, told: str) -> None:
    failed = slow(asked_for)
    assert rest(failed, seconds=2.0) is None
    assert failed.rest_told == f"It asks for a rest of {told} s, which ends after the deadline."
    assert failed.transient is True


def test_a_rest_is_told_of_the_last_try_too() -> None:
    failed = slow(300)
    assert rest(failed, "http_429", "http_429") is None
    assert failed.rest_told == "It asks for a rest of 300 s."
