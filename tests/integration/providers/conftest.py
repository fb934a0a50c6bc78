"""A provider's server on loopback, and Providers that ask it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner_core.regions import Provider
from runner_core.settings import Settings
from runner_core.upstreams import UpstreamModel
from tests.asking import KEY, BlockingProviders, Make, catalogue_of
from tests.certificates import self_signed
from tests.provider_server import ProviderServer


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def make(server: ProviderServer) -> Iterator[Make]:
    """Makes Providers with one provider of a kind; short rests, since how long they are is tested apart."""
    made: list[BlockingProviders] = []

    def build(kind: str = "openai", **changes: Any) -> tuple[BlockingProviders, Provider]:
        seconds = {name: changes.pop(name) for name in tuple(changes) if name.endswith("_seconds")}
        tries = changes.pop("max_tries", 3)
        env = {"PROVIDER_KEY": KEY} | changes.pop("env", {})
        provider = Provider(
            id=f"{kind}-us",
            region="US",
            kind=kind,
            base_url="" if kind == "sandbox" else f"{server.url}/US/v1",
            api_key_env="" if kind == "sandbox" else "PROVIDER_KEY",
            max_concurrency=64,
            models={"m1": UpstreamModel("upstream-1")},
        )
        provider = replace(provider, **changes)
        settings = Settings.from_env({"PROVIDER_MAX_TRIES": str(tries)})
        providers = BlockingProviders(catalogue_of(provider), settings, env, **({"backoff_seconds": 0.01} | seconds))
        made.append(providers)
        return providers, provider

    yield build
    for providers in made:
        providers.close()


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    return self_signed(tmp_path)
