"""`beacon doctor --probe` asks a provider as the workers do: its headers, query, proxy and certificates."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner_cli.check_config import check_regions
from runner_cli.findings import Finding
from runner_core.settings import Settings
from tests.certificates import self_signed
from tests.http_proxy import HttpProxy
from tests.provider_server import ProviderServer

Probe = Callable[..., Finding]
SECRET = "zq-0123456789"
PLACE = "127.0.0.1:9"  # closed


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """What is found of one provider with these settings."""

    def run(settings: str, **env: str) -> Finding:
        path = tmp_path / "regions.toml"
        path.write_text(
            'default_model = "m"\n[regions.US]\n[[providers]]\nid = "p"\nregion = "US"\nkind = "openai"\n'
            f'{settings}\nmodels = {{ m = "one" }}\n'
        )
        settings_read = Settings.from_env({"REGIONS_FILE": str(path)})
        found = {finding.subject: finding for finding in check_regions(settings_read, env, probe=True)}
        assert SECRET not in repr(found)
        return found.get("provider p", found["regions"])

    return run


def test_headers_and_query(probe: Probe) -> None:
    with ProviderServer() as server:
        found = probe(
            f'base_url = "{server.url}/v1"\nquery = {{ "api-version" = "1" }}\nheaders = {{ x-title = "ours" }}\n'
            'headers_env = { api-key = "AZURE_KEY" }',
            AZURE_KEY=SECRET,
        )
        (call,) = server.calls
    assert found.level == "ok"
    assert (call.method, call.path) == ("GET", "/v1/models?api-version=1")
    assert (call.headers["api-key"], call.headers["x-title"]) == (SECRET, "ours")
    assert "authorization" not in call.headers


def test_a_refused_header_names_its_variable(probe: Probe) -> None:
    with ProviderServer() as server:
        server.add_rule(fault="status", status=401, text=f"wrong key {SECRET}")
        settings = f'base_url = "{server.url}"\nheaders_env = {{ api-key = "AZURE_KEY" }}'
        assert "check AZURE_KEY" in probe(settings, AZURE_KEY=SECRET).text
        assert "set AZURE_KEY as for the workers" in probe(settings).text


def test_proxy_and_certificates(probe: Probe, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    secure = f'base_url = "https://{PLACE}/v1"\nca_file = "{certificate}"'
    with ProviderServer(certificate=certificate) as server, HttpProxy({PLACE: server.port}) as proxy:
        found = probe(f'{secure}\nproxy = "{proxy.url}"')
        assert (found.level, f"through the proxy 127.0.0.1:{proxy.port}" in found.text) == ("ok", True)
        assert probe(secure, HTTPS_PROXY=proxy.url).level == "ok"
        assert proxy.requests == [f"CONNECT {PLACE}"] * 2
        gone = probe(f'{secure}\nproxy = "none"', HTTPS_PROXY=proxy.url)
        assert (gone.level, "check base_url, proxy and ca_file" in gone.text) == ("error", True)


def test_a_proxys_password(probe: Probe) -> None:
    plain = f'base_url = "http://{PLACE}/v1"\nproxy = "http://me:${{PROXY_PASSWORD}}@127.0.0.1:%d"'
    credentials = "Basic bWU6enEtMDEyMzQ1Njc4OQ=="  # me and SECRET
    with ProviderServer() as server, HttpProxy({PLACE: server.port}, credentials=credentials) as proxy:
        assert probe(plain % proxy.port, PROXY_PASSWORD=SECRET).level == "ok"
        refused = probe(plain % proxy.port, PROXY_PASSWORD="another")
        assert (refused.level, "the proxy refuses its user and password (407)" in refused.text) == ("error", True)
        assert "set PROXY_PASSWORD as for the workers" in probe(plain % proxy.port).text


def test_a_wrong_file(probe: Probe) -> None:
    found = probe('base_url = "https://h.example"\nca_file = "/nowhere/ca.pem"')
    assert (found.level, found.text) == (
        "error",
        "it was not asked, because ca_file can't be read: No such file or directory",
    )
