"""Mistakes in the providers' configuration, and the metrics of their calls."""

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from runner_core.errors import ConfigError
from runner_core.regions import Provider
from runner_core.settings import Settings
from runner_core.upstreams import UpstreamModel
from runner_worker.providers import Providers
from tests.asking import Make, catalogue_of, question
from tests.provider_server import ProviderServer


def test_every_mistake_is_told_at_once() -> None:
    plain = Provider("a", "US", "openai", "http://127.0.0.1:1", "NO_SUCH_KEY", 1, {"m1": UpstreamModel("m1")})
    providers = [
        plain,
        replace(plain, id="b", api_key_env="BAD_KEY"),
        replace(plain, id="c", kind="sandbox", options={"delay_seconds": "long", "fial": 1, "fail": "sometimes"}),
    ]
    with pytest.raises(ConfigError) as caught:
        Providers(catalogue_of(*providers), Settings.from_env({}), {"BAD_KEY": "a\nb"})
    text = str(caught.value)
    assert len(caught.value.mistakes) == 5
    assert "NO_SUCH_KEY" in text
    assert "fial is not an option" in text


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_calls_and_tokens_are_counted(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503, times=1)
    providers, provider = make(id="counted")
    providers.ask(provider, question(model_id="counted-model"))
    assert counted("provider_requests_total", region="US", provider="counted", code="http_503") == 1
    assert counted("provider_requests_total", region="US", provider="counted", code="ok") == 1
    assert counted("provider_tokens_total", region="US", model="counted-model", direction="input") == 11
    assert counted("provider_tokens_total", region="US", model="counted-model", direction="output") == 7
