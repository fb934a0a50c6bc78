"""Failures for good, which are not tried again, and what a router says of its own."""

import pytest

from tests.asking import KINDS, Make, failure, question
from tests.provider_server import ProviderServer


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
@pytest.mark.parametrize("kind", KINDS)
def test_a_permanent_status_is_not_tried_again(server: ProviderServer, make: Make, kind: str, status: int) -> None:
    server.add_rule(fault="status", status=status)
    failed = failure(make(kind), question())
    assert (failed.code, failed.calls, failed.error["http_status"]) == (f"http_{status}", 1, status)
    assert failed.error["transient"] is False


def test_an_unknown_status_does_not_become_a_label(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=418)
    failed = failure(make(), question())
    assert (failed.code, failed.error["http_status"]) == ("http_other", 418)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_text(server: ProviderServer, make: Make, kind: str) -> None:
    server.add_rule(fault="empty")
    failed = failure(make(kind), question())
    assert (failed.code, failed.calls, failed.error["transient"]) == ("empty_response", 1, False)


def test_another_region_is_never_accepted(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="wrong_region", region="eu-west")
    failed = failure(make("hybrid"), question())
    assert (failed.code, failed.calls) == ("wrong_region", 1)


@pytest.mark.parametrize("name", ["us-east", "US", "us_central"])
def test_every_name_of_the_region_is_accepted(server: ProviderServer, make: Make, name: str) -> None:
    server.add_rule(fault="wrong_region", region=name)
    providers, provider = make("hybrid")
    assert providers.ask(provider, question()).answer.text


@pytest.mark.parametrize(
    ("error_code", "code", "calls"),
    [
        ("ROUTER_ERROR", "provider_error", 3),
        ("INVALID_MODEL", "provider_refused_request", 1),
        ("HTTP_503", "http_503", 3),
        ("401", "http_401", 1),
    ],
)
def test_the_routers_own_failure(server: ProviderServer, make: Make, error_code: str, code: str, calls: int) -> None:
    server.add_rule(fault="failure", text=error_code)
    failed = failure(make("hybrid"), question())
    assert (failed.code, failed.calls) == (code, calls)
    assert failed.error["message"].endswith("no capacity")


def test_a_failure_under_http_200(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="failure", status=503, times=1)
    providers, provider = make()
    assert providers.ask(provider, question()).errors[0]["code"] == "http_503"
