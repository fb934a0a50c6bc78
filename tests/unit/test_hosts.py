"""Addresses with several hosts, taken apart and put together again."""

import pytest

from runner_core.hosts import each_host, joined


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://u:p@one:1,two:2/d", ["host=one port=1", "host=two port=2"]),
        ("postgresql://u:p@one,two:2/d", ["host=one", "host=two port=2"]),
        ("host=one,two port=5 dbname=d", ["host=one port=5", "host=two port=5"]),
        ("postgresql:///d?hostaddr=10.0.0.1,10.0.0.2", ["hostaddr=10.0.0.1", "hostaddr=10.0.0.2"]),
        ("postgresql://[::1]:3,two:4/d", ["host=::1 port=3", "host=two port=4"]),
    ],
)
def test_each_host_has_an_address_of_its_own(url: str, each: list[str]) -> None:
    found = each_host(url)
    assert len(found) == len(each)
    assert all(place.endswith(end) for place, end in zip(found, each, strict=True))
    assert all("dbname=d" in place for place in found)
    assert each_host(joined(found)) == found
    assert each_host(joined(found[::-1])) == found[::-1]


def test_a_password_is_kept_as_it_is() -> None:
    for place in each_host("postgresql://u:p%40%20'x@one,two/d?sslmode=verify-full"):
        assert r"password='p@ \'x'" in place
        assert "sslmode=verify-full" in place


@pytest.mark.parametrize("url", ["", "no url", "postgresql://u:p@one/d", "postgresql:///d", "host=a,b,c port=1,2"])
def test_one_host_and_a_mistake_are_left_alone(url: str) -> None:
    assert each_host(url) == [url]
    assert joined([url]) == url
