"""Through which proxy an origin is reached."""

import base64

import pytest

from runner_core.origins import origin
from runner_core.proxies import Proxy, environment_proxy, proxy_of

TO = origin("https://api.example.org/v1")
PROXY = "http://proxy.example:3128"


def through(env: dict[str, str], url: str = "https://api.example.org/v1") -> str:
    found = environment_proxy(env, origin(url))
    return f"{found.host}:{found.port}" if found else ""


def test_the_scheme_chooses_the_variable() -> None:
    env = {"HTTP_PROXY": "http://one:1", "HTTPS_PROXY": "http://two:2"}
    assert (through(env), through(env, "http://h/v1")) == ("two:2", "one:1")
    assert through({"HTTP_PROXY": "http://one:1"}) == ""
    assert through({}) == ""


def test_lower_case_comes_first_and_a_scheme_may_be_missing() -> None:
    assert through({"https_proxy": "low:1", "HTTPS_PROXY": "http://up:2"}) == "low:1"
    assert through({"https_proxy": " ", "HTTPS_PROXY": "http://up"}) == "up:80"


@pytest.mark.parametrize(
    "no_proxy",
    [
        "*", "api.example.org", "API.example.org", "example.org", ".example.org", "*.example.org", "other, org",
        "api.example.org:443", "example.org:443", "a,*",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_has_the_host(name: str, no_proxy: str) -> None:
    assert through({"HTTPS_PROXY": PROXY, name: no_proxy}) == ""


@pytest.mark.parametrize("no_proxy", ["", ",", "ample.org", "api.example.org:80", "example.com", "api", "10.0.0.0/8"])
def test_no_proxy_does_not_have_the_host(no_proxy: str) -> None:
    assert through({"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) == "proxy.example:3128"


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.1:8000", "127.0.0.0/8", "::1,127.0.0.1"])
def test_no_proxy_has_an_address(no_proxy: str) -> None:
    assert through({"HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}, "http://127.0.0.1:8000") == ""


@pytest.mark.parametrize("no_proxy", ["::1", "[::1]", "[::1]:8000", "::/64"])
def test_no_proxy_has_an_ipv6_address(no_proxy: str) -> None:
    assert through({"HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}, "http://[::1]:8000") == ""


def test_user_and_password_are_decoded_and_not_shown() -> None:
    proxy = proxy_of("http://me:p%40ss%20word@h:1")
    assert proxy.authorization == "Basic " + base64.b64encode(b"me:p@ss word").decode()
    assert {"p@ss word", "p%40ss%20word", proxy.authorization.removeprefix("Basic ")} == set(proxy.secrets)
    assert not any(secret in repr(proxy) for secret in proxy.secrets)
    assert proxy_of("http://token@h:1").secrets[0] == "token"
    assert proxy_of(PROXY) == Proxy("proxy.example", 3128, url=PROXY)


@pytest.mark.parametrize("value", ["https://h:1", "socks5://h:1", "http://h:x", "http://h:1/path?hunter2"])
def test_a_mistaken_variable_is_named_without_its_value(value: str) -> None:
    with pytest.raises(ValueError, match=r'^HTTPS_PROXY is no http URL: correct it, or set proxy = "none"$'):
        environment_proxy({"HTTPS_PROXY": value}, TO)
    assert environment_proxy({"HTTPS_PROXY": value, "NO_PROXY": "*"}, TO) is None
