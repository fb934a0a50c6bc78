"""Redirects: 303 to the same origin is followed, everything else is refused."""

import pytest

from tests.asking import KINDS, Make, failure, question
from tests.provider_server import ProviderServer


@pytest.mark.parametrize("kind", KINDS)
def test_303_to_the_same_origin_is_followed_with_get(server: ProviderServer, make: Make, kind: str) -> None:
    server.add_rule(fault="redirect_same", times=1)
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    post, get = server.calls
    assert (post.method, get.method, get.body) == ("POST", "GET", None)
    assert get.path.startswith("/result/1/")
    assert reply.calls == 1


def test_303_is_followed_until_the_deadline_and_never_in_a_hurry(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="redirect_same", hops=1000, times=1)
    failed = failure(make(), question(seconds=3.6))
    assert (failed.code, failed.calls) == ("timeout", 1)
    assert 2 <= len(server.calls) <= 4, "one a second at most"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_is_refused(server: ProviderServer, make: Make, status: int) -> None:
    with ProviderServer() as other:
        server.add_rule(fault="redirect_other", status=status, location=f"{other.url}/result/1")
        failed = failure(make(), question())
        assert (failed.code, failed.calls, other.calls) == ("redirect_refused", 1, [])


@pytest.mark.parametrize("location", ["", "//127.0.0.1:9/x", "file:///etc/passwd", "http://[", "http://127.0.0.1:x/"])
def test_a_location_that_is_no_place_is_refused(server: ProviderServer, make: Make, location: str) -> None:
    server.add_rule(fault="redirect_other", location=location)
    assert failure(make(), question()).code == "redirect_refused"
