"""Providers that only a proxy reaches: nothing listens where the base_url says, and the proxy's routes lead there."""

import base64
import socket

import pytest

from runner_worker.providers import CallFailed
from tests.asking import Make, failure, question
from tests.http_proxy import HttpProxy
from tests.provider_server import ProviderServer

PLACE = "127.0.0.1:9"  # closed
PLAIN, SECURE = f"http://{PLACE}/v1", f"https://{PLACE}/v1"
PASSWORD = "proxy p@ssword"
IN_URL = "proxy%20p%40ssword"
CREDENTIALS = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()


def test_a_plain_request_goes_through_the_proxy(server: ProviderServer, make: Make) -> None:
    with HttpProxy({PLACE: server.port}) as proxy:
        providers, provider = make(base_url=PLAIN, proxy=proxy.url, query={"a": "1"})
        assert providers.ask(provider, question()).calls == 1
        assert proxy.requests == [f"POST {PLAIN}/chat/completions?a=1"]
    (call,) = server.calls
    assert (call.path, call.headers["host"]) == ("/v1/chat/completions?a=1", PLACE)
    assert failure(make(base_url=PLAIN, proxy="none", max_tries=1), question()).code == "connect_failed"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_the_environment_names_the_proxy(server: ProviderServer, make: Make, name: str) -> None:
    with HttpProxy({PLACE: server.port}) as proxy:
        providers, provider = make(base_url=PLAIN, env={name: proxy.url, "NO_PROXY": "example.org"})
        assert providers.ask(provider, question()).calls == 1
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "example.org, 127.0.0.0/8"])
def test_no_proxy_is_honoured(server: ProviderServer, make: Make, no_proxy: str) -> None:
    with HttpProxy({}) as proxy:
        providers, provider = make(env={"HTTP_PROXY": proxy.url, "NO_PROXY": no_proxy})
        assert providers.ask(provider, question()).calls == 1
        assert (proxy.requests, len(server.calls)) == ([], 1)


@pytest.mark.parametrize("by_env", [False, True])
def test_tls_goes_through_a_tunnel_that_is_kept(make: Make, certificate: str, by_env: bool) -> None:
    with ProviderServer(certificate=certificate) as secure, HttpProxy({PLACE: secure.port}) as proxy:
        way = {"env": {"HTTPS_PROXY": proxy.url}} if by_env else {"proxy": proxy.url}
        providers, provider = make(base_url=SECURE, ca_file=certificate, **way)
        for _ in range(4):
            assert providers.ask(provider, question()).calls == 1
        assert proxy.requests == [f"CONNECT {PLACE}"]
        assert [call.connection for call in secure.calls] == [1] * 4
        assert "proxy-authorization" not in secure.calls[0].headers
        assert providers.idle_connections() == 1


@pytest.mark.parametrize("url", [PLAIN, SECURE])
def test_user_and_password_go_to_the_proxy_alone(make: Make, certificate: str, url: str) -> None:
    secure = url == SECURE
    with (
        ProviderServer(certificate=certificate if secure else None) as behind,
        HttpProxy({PLACE: behind.port}, credentials=CREDENTIALS) as proxy,
    ):
        with_user = proxy.url.replace("//", f"//me:{IN_URL}@")
        providers, provider = make(base_url=url, proxy=with_user, ca_file=certificate)
        assert providers.ask(provider, question()).calls == 1
        assert "proxy-authorization" not in behind.calls[0].headers

        wrong = proxy.url.replace("//", "//me:not-the-word@")
        failed = failure(make(base_url=url, proxy=wrong, ca_file=certificate, max_tries=2), question())
        assert (failed.code, failed.calls, len(failed.errors)) == ("connect_failed", 0, 1)
        assert "the proxy refuses it (407 Proxy Authentication Required)" in failed.error["message"]
        assert "not-the-word" not in repr((failed.error, failed.errors, failed.detail))
        assert len(behind.calls) == 1


def refused(make: Make, proxy: HttpProxy, url: str = SECURE, seconds: float = 30.0) -> CallFailed:
    return failure(make(base_url=url, proxy=proxy.url, max_tries=1), question(seconds))


def test_a_proxys_failures_are_said(make: Make) -> None:
    with HttpProxy({}, refuse=403) as proxy:
        told = refused(make, proxy)
        assert (told.code, told.error["stage"]) == ("connect_failed", "connect")
        assert "no connection: the proxy refuses it (403 Forbidden)" in told.error["message"]
    assert "no connection through the proxy" in refused(make, proxy).error["message"]
    for garbage, words in (
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the proxy's answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 4000, "the proxy's answer is not HTTP/1.1"),
        (b"HTTP/1.1 2", "the proxy ended the connection"),
        (b"", "the proxy ended the connection"),
    ):
        with HttpProxy({}, garbage=garbage) as proxy:
            told = refused(make, proxy)
            assert (told.code, told.calls) == ("connect_failed", 0)
            assert words in told.error["message"]


def test_tls_is_proved_behind_the_proxy_too(make: Make, certificate: str) -> None:
    with ProviderServer(certificate=certificate) as secure, HttpProxy({PLACE: secure.port}) as proxy:
        told = refused(make, proxy)
        assert told.code == "connect_failed"
        assert "the certificate is not trusted (self-signed certificate)" in told.error["message"]
        assert secure.calls == []
    with ProviderServer() as plain, HttpProxy({PLACE: plain.port}) as proxy:
        assert "the TLS handshake failed" in refused(make, proxy).error["message"]


def test_a_silent_proxy_is_not_waited_for_beyond_the_deadline(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        told = failure(make(base_url=SECURE, proxy=url, max_tries=1), question(0.3))
        assert (told.code, told.error["stage"], told.calls) == ("timeout", "connect", 0)


def test_providers_share_connections_only_by_the_same_way(server: ProviderServer, make: Make) -> None:
    with HttpProxy({f"127.0.0.1:{server.port}": server.port}) as proxy:
        providers, provider = make(proxy=proxy.url)
        providers.ask(provider, question())
        assert len(proxy.requests) == 1
        direct, provider = make(proxy="none")
        direct.ask(provider, question())
        assert (len(proxy.requests), len(server.calls)) == (1, 2)
