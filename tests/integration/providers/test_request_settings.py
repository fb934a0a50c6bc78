"""What the settings of the regions file do to a request: path, query, headers, certificates."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner_core.errors import ConfigError
from runner_core.regions import Provider, load_catalogue
from runner_core.settings import Settings
from runner_core.upstreams import UpstreamModel
from runner_worker.providers import Providers
from tests.asking import KEY, BlockingProviders, Make, catalogue_of, failure, question
from tests.outcome_rows import body
from tests.provider_server import ProviderServer

AZURE = """
default_model = "gpt"
[regions.EU]
[[providers]]
id = "azure-eu"
region = "EU"
kind = "openai"
base_url = "{url}/openai"
path = "/deployments/{{model}}/chat/completions"
query = {{ "api-version" = "2024-10-21" }}
headers_env = {{ "api-key" = "AZURE_KEY" }}
[providers.models.gpt]
upstream = "gpt-5"
omit = ["temperature", "seed"]
rename = {{ max_tokens = "max_completion_tokens" }}
system_role = "developer"
"""
AZURE_KEY = "azure 0123456789 key"


def test_azures_form(server: ProviderServer, tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(AZURE.format(url=server.url))
    catalogue = load_catalogue(file, allow_sandbox=False, env={})
    (provider,) = catalogue.providers
    providers = BlockingProviders(catalogue, Settings.from_env({}), {"AZURE_KEY": AZURE_KEY})
    upstream = provider.models["gpt"]
    asked = question(region="EU", model_id="gpt", upstream=upstream)
    reply = providers.ask(provider, asked)
    providers.close()
    (call,) = server.calls
    assert call.path == "/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21"
    assert call.headers["api-key"] == AZURE_KEY
    assert "authorization" not in call.headers
    assert call.body["max_completion_tokens"] == 500
    assert not {"temperature", "seed", "max_tokens"} & call.body.keys()
    assert call.body["messages"][0]["role"] == "developer"
    assert reply.answer.text.startswith("answer ")


def test_query_and_headers_go_with_each_request(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="redirect_same", times=1)
    providers, provider = make(
        query={"api-version": "a b&c", "flag": ""},
        headers={"HTTP-Referer": "https://example.org", "user-agent": "ours"},
        headers_env={"X-Secret": "SECRET_ONE"},
        env={"SECRET_ONE": "one-secret-value"},
    )
    providers.ask(provider, question())
    assert server.calls[0].path == "/US/v1/chat/completions?api-version=a%20b%26c&flag="
    for call in server.calls:
        assert call.headers["http-referer"] == "https://example.org"
        assert call.headers["x-secret"] == "one-secret-value"
        assert call.headers["user-agent"] == "ours"
        assert call.headers["authorization"] == f"Bearer {KEY}"
    assert len(server.calls) == 2


def test_secret_headers_go_to_no_other_origin(server: ProviderServer, make: Make) -> None:
    with ProviderServer() as other:
        server.add_rule(fault="redirect_other", location=f"{other.url}/x?k=one-secret-value")
        made = make(headers_env={"X-Secret": "SECRET_ONE"}, env={"SECRET_ONE": "one-secret-value"})
        failed = failure(made, question())
        assert (failed.code, failed.calls, other.calls) == ("redirect_refused", 1, [])
        assert other.url in failed.error["message"]
        assert "one-secret-value" not in repr(failed.error)


@pytest.mark.parametrize("secret", ["Bearer zq-0123456789", "zq-0123456789", "zq0"])
def test_what_a_provider_repeats_is_hidden(server: ProviderServer, make: Make, secret: str) -> None:
    said = f"Incorrect key {secret.removeprefix('Bearer ')} given, header was {secret}"
    server.add_rule(fault="status", status=401, text=said)
    made = make(headers_env={"X-Secret": "SECRET_ONE"}, env={"SECRET_ONE": secret})
    failed = failure(made, question())
    assert "Incorrect key [key] given, header was [key]" in failed.error["message"]
    assert "zq" not in repr((failed.error, failed.errors, failed.detail, failed.sent))


def test_a_header_that_is_a_word_does_not_change_answers(server: ProviderServer, make: Make) -> None:
    server.add_rule(text="The production of keys, and key zq-0123456789.")
    providers, provider = make(
        headers_env={"X-Env": "ENVIRONMENT", "X-Secret": "SECRET_ONE"},
        env={"ENVIRONMENT": "production", "SECRET_ONE": "zq-0123456789"},
    )
    assert providers.ask(provider, question()).answer.text == "The production of keys, and key [key]."


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"message": "no production", "code": 401}},
        {"choices": [{"finish_reason": "error", "error": {"message": "no production"}, "message": {"content": "x"}}]},
    ],
)
def test_an_error_of_status_200_has_no_secret(server: ProviderServer, make: Make, document: dict[str, Any]) -> None:
    server.add_rule(**body(document))
    failed = failure(make(headers_env={"X-Env": "ENVIRONMENT"}, env={"ENVIRONMENT": "production"}), question())
    assert failed.error["message"].endswith("no [key]")


def test_a_title_that_is_cut_has_no_part_of_a_secret(server: ProviderServer, make: Make) -> None:
    secret = "zq-" + "0123456789" * 5
    page = f"<html><title>{'x' * 180} {secret}</title></html>"
    server.add_rule(**body(page, 403))
    failed = failure(make(headers_env={"X-Secret": "SECRET_ONE"}, env={"SECRET_ONE": secret}), question())
    assert failed.error["message"].endswith("x [key]")


def test_a_header_may_be_read_from_a_file(server: ProviderServer, make: Make, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    providers, provider = make(headers_env={"X-Secret": "SECRET_ONE"}, env={"SECRET_ONE_FILE": str(file)})
    providers.ask(provider, question())
    assert server.calls[0].headers["x-secret"] == "from-a-file"


def test_a_private_authority_is_trusted_by_ca_file_alone(make: Make, certificate: str) -> None:
    with ProviderServer(certificate=certificate) as secure:
        providers, provider = make(base_url=secure.url, ca_file=certificate)
        assert providers.ask(provider, question()).calls == 1
        failed = failure(make(base_url=secure.url, max_tries=1), question())
        assert (failed.code, failed.calls, len(secure.calls)) == ("connect_failed", 0, 1)
        assert "no connection: the certificate is not trusted (self-signed certificate)" in failed.error["message"]
        # The name is compared all the same.
        other = secure.url.replace("127.0.0.1", "localhost")
        failed = failure(make(base_url=other, ca_file=certificate, max_tries=1), question())
        assert "the certificate is not trusted (Hostname mismatch" in failed.error["message"]


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path, certificate: str) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    (tmp_path / "both").write_text("x")
    plain = Provider("a", "US", "openai", "https://h.example", "", 1, {"m1": UpstreamModel("m1")})
    made: dict[str, Any] = {
        "headers_env": {"A": "UNSET", "B": "BROKEN", "C": "BOTH"},
        "proxy": "http://${PROXY_HOST}:1",
        "api_key_env": "NO_KEY",
        "ca_file": str(tmp_path / "none.pem"),
    }
    providers = [
        replace(plain, **made),
        replace(plain, id="b", proxy="${PROXY}", ca_file=str(tmp_path / "empty.pem")),
        replace(plain, id="c", ca_file=certificate),
    ]
    env = {
        "BROKEN": "very\nsecret",
        "BOTH": "very",
        "BOTH_FILE": str(tmp_path / "both"),
        "PROXY": "socks5://u:verysecret@h",
        "HTTPS_PROXY": "https://u:verysecret@h",
    }
    with pytest.raises(ConfigError) as caught:
        Providers(catalogue_of(*providers), Settings.from_env({}), env)
    assert caught.value.mistakes == [
        "provider a: NO_KEY, which holds its key, is not set",
        "provider a: UNSET, which holds the header A, is not set",
        "provider a: BROKEN, which holds the header B, has characters that no header can carry",
        "provider a: BOTH and BOTH_FILE are both set: unset one of them",
        "provider a: proxy needs the environment variable PROXY_HOST, which is not set",
        "provider a: ca_file can't be read: No such file or directory",
        "provider b: proxy must be env, none or an http URL, for example http://proxy.example:3128; a user and a"
        " password in it are percent-encoded",
        "provider b: ca_file has no certificate: it must be a file with certificates in PEM",
        'provider c: HTTPS_PROXY is no http URL: correct it, or set proxy = "none"',
    ]
