"""The table of outcomes: what follows from each code and from each HTTP status."""

import pytest

from runner_worker.providers.failures import TryFailed
from runner_worker.providers.outcomes import FAULTS, PAID, code_of_status

# code: (tries, paid, breaker)
DECIDED = {
    "token_limit": (1, "yes", "healthy"),
    "empty_response": (1, "yes", "healthy"),
    "malformed_answer": (2, "maybe", "failure"),
    "unasked_format": (1, "yes", "healthy"),
    "answer_too_large": (1, "yes", "healthy"),
    "wrong_region": (1, "yes", "healthy"),
    "not_http": (2, "maybe", "failure"),
    "connect_failed": (None, "no", "failure"),
    "connect_timeout": (None, "no", "failure"),
    "write_timeout": (None, "no", "failure"),
    "connection_lost": (None, "maybe", "failure"),
    "read_timeout": (2, "maybe", "failure"),
    "http_5xx": (None, "no", "failure"),
    "quota_exhausted": (1, "no", "failure"),
    "http_other": (1, "no", "healthy"),
    "redirect_refused": (1, "no", "healthy"),
    "provider_error": (None, "maybe", "failure"),
    "adapter_failed": (1, "maybe", "healthy"),
    "provider_unavailable": (1, "no", "nothing"),
    "timeout": (1, "no", "nothing"),
    "cancelled": (1, "no", "nothing"),
}


def test_the_table_decides_as_was_decided() -> None:
    assert {code: (FAULTS[code].tries, FAULTS[code].paid, FAULTS[code].breaker) for code in DECIDED} == DECIDED


def test_the_words_of_the_table_are_few() -> None:
    for code, fault in FAULTS.items():
        assert fault.paid in PAID, code
        assert fault.breaker in ("failure", "healthy", "nothing"), code
        assert fault.tries in (1, 2, None), code
        assert not fault.sentence.endswith("."), code


@pytest.mark.parametrize("status", [408, 409, 425, 429, 498, 500, 502, 503, 504, 529])
def test_a_status_that_passes(status: int) -> None:
    failed = TryFailed.from_status(status)
    assert (failed.code, failed.fault.tries, failed.paid, failed.breaker) == (f"http_{status}", None, "no", False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_status_for_good(status: int) -> None:
    failed = TryFailed.from_status(status)
    assert (failed.code, failed.fault.tries, failed.paid, failed.breaker) == (f"http_{status}", 1, "no", True)
    assert failed.transient is False


@pytest.mark.parametrize("status", [507, 508, 520, 521, 522, 523, 525, 530, 599])
def test_every_other_5xx_passes(status: int) -> None:
    failed = TryFailed.from_status(status)
    assert (failed.code, failed.transient, failed.paid) == ("http_5xx", True, "no")
    assert failed.sentence("p") == f"Provider p: a server or a gateway failed (HTTP {status})."


def test_a_gateway_that_waited_in_vain_may_be_paid() -> None:
    assert TryFailed.from_status(524).paid == "maybe"


@pytest.mark.parametrize("status", [402, 405, 410, 418, 451, 501, 505, 511])
def test_every_other_status_is_for_good(status: int) -> None:
    assert code_of_status(status) == "http_other"


@pytest.mark.parametrize(
    ("stage", "paid"), [("waiting", "no"), ("connect", "no"), ("request", "maybe"), ("response", "maybe")]
)
def test_what_was_given_up_may_be_paid_once_it_was_sent(stage: str, paid: str) -> None:
    for code in ("timeout", "cancelled"):
        failed = TryFailed(code, stage=stage)
        assert (failed.paid, failed.breaker) == (paid, None)


def test_a_sentence_names_the_status_once() -> None:
    for status in (404, 418, 429, 500, 520):
        assert TryFailed.from_status(status).sentence("p").count(str(status)) == 1
