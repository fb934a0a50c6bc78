"""What went wrong in a job, grouped, with the way out."""

from typing import Any

import pytest

from runner_api.views.failures import REMEDIES, failures, plain, units_of


def failed(code: str, provider: str = "fake-us", said: str = "HTTP status 503.", **changes: Any) -> dict[str, Any]:
    return {
        "region": "US",
        "model_id": "m1",
        "status": "failed",
        "provider_id": provider,
        "error_detail": {"code": code, "message": f"Provider {provider}: {said}", "provider": provider},
    } | changes


def test_one_cause_in_three_regions_is_one_line() -> None:
    rows = [failed("http_503", f"fake-{name.lower()}", region=name) for name in ("ASIA", "US", "EU")]
    (group,) = failures([*rows, failed("http_503", model_id="m2")])
    assert (group.code, group.message, group.calls) == ("http_503", "HTTP status 503.", 4)
    assert group.places == "4 calls of m1, m2 in US, EU, ASIA"
    assert list(group.providers) == ["fake-asia", "fake-us", "fake-eu"]


def test_the_largest_group_comes_first() -> None:
    rows = [failed("http_401"), failed("http_503"), failed("http_503"), {"status": "completed"}]
    assert [group.code for group in failures(rows)] == ["http_503", "http_401"]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Provider p: HTTP status 503 (HTTP 503). Busy", "HTTP status 503. Busy"),
        ("Provider p: an unexpected HTTP status (HTTP 418).", "an unexpected HTTP status (HTTP 418)."),
        ("Provider p2: no connection.", "Provider p2: no connection."),
        ("The job was cancelled.", "The job was cancelled."),
    ],
)
def test_a_status_is_told_once_and_the_provider_not_at_all(message: str, told: str) -> None:
    assert plain(message, "p") == told


def test_the_remedy_names_the_variable_and_the_provider() -> None:
    keys = {"fake-us": "FAKE_KEY", "fake-eu": "FAKE_KEY"}
    rows = [failed("http_401", name) for name in keys]
    (group,) = failures(rows, keys.__getitem__)
    assert group.remedy.startswith("Set FAKE_KEY in the worker's environment to a valid key of fake-us, fake-eu")
    assert "the variable that api_key_env names" in failures(rows)[0].remedy
    limited = failures([failed("http_429")])[0].remedy
    assert "max_concurrency of fake-us" in limited
    assert "Retry-After" in limited
    assert "failed by itself" in failures([failed("http_500")])[0].remedy
    assert failures([failed("empty_response")])[0].remedy == ""


def test_every_remedy_can_be_written() -> None:
    for code in REMEDIES:
        (group,) = failures([failed(code, "")])
        assert group.remedy
        assert "{" not in group.remedy


def test_messages_that_differ_by_an_id_are_told_together() -> None:
    rows = [failed("http_400", said=f"request req_{n} is wrong") for n in range(50)]
    (group,) = failures([*rows, failed("http_400", said="request req_7 is wrong", region="EU")])
    assert (group.calls, group.messages, group.message) == (51, 50, "request req_7 is wrong")
    assert group.regions == ["US", "EU"]


def test_a_call_without_an_error_object_is_told_too() -> None:
    (group,) = failures([failed("x", error_detail=None)])
    assert (group.code, group.message) == ("failed", "")


def test_only_units_that_can_run_again_are_retried() -> None:
    rows = [failed("http_503"), failed("http_503", region="EU"), failed("http_401", model_id="m2")]
    assert units_of(rows, "http_503", {("US", "m1"), ("US", "m2")}) == [("US", "m1")]
