"""A kind of another distribution that asks by HTTP: our client, its own headers, our rules for what is answered."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_core.regions import Catalogue, load_catalogue
from runner_core.settings import Settings
from runner_worker.providers import Ask, CallFailed, Providers, Reply
from tests.asking import KEY
from tests.foreign_kinds import POSTER, installed
from tests.outcome_rows import body
from tests.provider_server import ProviderServer

FILE = """
default_model = "m"
[questions]
q = "Who?"
[regions.US]
display = "US"
[[providers]]
id = "p"
region = "US"
kind = "poster"
base_url = "{url}/US"
api_key_env = "POSTER_KEY"
models = {{ m = "up" }}
"""


@pytest.fixture
def catalogue(tmp_path: Path, server: ProviderServer) -> Iterator[Catalogue]:
    """A regions file with a provider of the kind `poster`, whose distribution this process finds."""
    file = tmp_path / "regions.toml"
    file.write_text(FILE.format(url=server.url))
    with installed(tmp_path, "beacon-test-poster", POSTER, {"poster": "Poster"}):
        yield load_catalogue(file, allow_sandbox=False, env={})


def ask(catalogue: Catalogue) -> Reply:
    question = Ask(
        region="US",
        model_id="m",
        upstream=catalogue.providers[0].models["m"],
        prompt="Who?",
        deadline=time.monotonic() + 20,
    )

    async def once() -> Reply:
        providers = Providers(catalogue, Settings.from_env({}), {"POSTER_KEY": KEY}, backoff_seconds=0.01)
        try:
            return await providers.ask(catalogue.providers[0], question)
        finally:
            providers.close()

    return asyncio.run(once())


def test_it_sends_its_headers_and_answers(catalogue: Catalogue, server: ProviderServer) -> None:
    reply = ask(catalogue)
    (call,) = server.calls
    assert (call.path, call.body) == ("/US/ask", {"question": "Who?"})
    assert (call.headers["x-poster-key"], call.headers["x-poster-version"]) == (KEY, "7")
    assert "authorization" not in call.headers
    assert reply.response.startswith("answer ")


def test_errors_filters_and_tries_are_ours(catalogue: Catalogue, server: ProviderServer) -> None:
    server.add_rule(fault="status", status=503, times=1)
    assert ask(catalogue).calls == 2
    server.add_rule(**body({"error": {"message": "no", "code": "content_filter"}}, 400))
    assert ask(catalogue).refusal_source == "filter"
    server.set_rules([{"fault": "status", "status": 401, "text": f"bad key {KEY}"}])
    with pytest.raises(CallFailed) as caught:
        ask(catalogue)
    assert (caught.value.code, caught.value.error["message"].endswith("bad key [key]")) == ("http_401", True)
