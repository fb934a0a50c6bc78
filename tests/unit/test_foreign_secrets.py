"""An adapter of another distribution: its secrets are hidden where it repeats them, and looked for at the start."""

import json
import logging
from pathlib import Path

import pytest

from runner_cli.check_config import check_regions
from runner_core.redaction import RedactingFormatter, secrets_in
from runner_core.regions import Catalogue
from runner_core.settings import Settings
from runner_core.telemetry import JsonFormatter
from runner_worker.configuration import Configuration
from runner_worker.providers import CallFailed, Providers
from tests.foreign_provider import Install, ask, mistakes, regions

# A kind with a way to its provider of its own, which repeats its key wherever it can.
LEAKY = """
import os

from runner_worker.providers import Answer, Filtered, TryFailed


class Leaky:
    api = 1
    settings = ("api_key_env", "headers_env", "options")
    parameters = ("system_prompt",)
    simulated = True

    def __init__(self, provider, http, catalogue):
        self.key = os.environ[provider.api_key_env]
        if provider.options:
            raise provider.options and {"value": ValueError, "other": RuntimeError}[provider.options["fail"]](
                f"the key {self.key} is wrong"
            )

    @staticmethod
    def mistakes(provider, region):
        return "one sentence" if provider.options.get("told") else []

    def sent(self, ask):
        return {"key": self.key, "stage": "production"}

    async def send(self, ask):
        served = {"model": self.key}
        if ask.prompt == "refused":
            raise TryFailed("http_401", words=f"no {self.key}", note=f": {self.key}", served=served, partial=self.key)
        if ask.prompt == "blocked":
            raise Filtered(f"no {self.key}", served)
        if ask.prompt == "broken":
            raise RuntimeError(f"Authorization: {self.key!r}, {self.key}")
        return Answer(f"You sent {self.key} in production", thoughts=self.key, served=served, finish_reason=self.key)
"""
KEY = 'zq-"\\0123456789'  # with characters that repr and JSON escape
ENV = {"LEAKY_KEY": KEY, "STAGE": "production"}
SETTINGS = 'api_key_env = "LEAKY_KEY"\nheaders_env = { x-stage = "STAGE" }'


@pytest.fixture
def leaky(installed: Install, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEAKY_KEY", KEY)
    return installed("beacon-test-leaky", LEAKY, {"leaky": "Leaky"})


@pytest.fixture
def catalogue(leaky: Path) -> Catalogue:
    return regions(leaky, "leaky", SETTINGS)


def test_an_answer(catalogue: Catalogue) -> None:
    reply = ask(catalogue, "Who?", ENV)
    assert "zq-" not in repr(reply)
    assert reply.answer.text == "You sent [key] in production"  # a word is kept: the text would not be whole
    assert reply.sent == {"key": "[key]", "stage": "production"}
    assert reply.answer.simulated, "the kind says so"


def test_a_failure(catalogue: Catalogue) -> None:
    with pytest.raises(CallFailed) as caught:
        ask(catalogue, "refused", ENV)
    assert "no [key]" in caught.value.error["message"]
    assert "zq-" not in repr((caught.value.error, caught.value.errors, caught.value.detail))


def test_a_filters_words(catalogue: Catalogue) -> None:
    reply = ask(catalogue, "blocked", ENV)
    assert (reply.answer.filter_words, reply.answer.served) == ("no [key]", {"model": "[key]"})


@pytest.mark.parametrize("formatter", [JsonFormatter("worker"), logging.Formatter("%(message)s")])
def test_a_traceback(catalogue: Catalogue, caplog: pytest.LogCaptureFixture, formatter: logging.Formatter) -> None:
    with pytest.raises(CallFailed) as caught:
        ask(catalogue, "broken", ENV)
    assert caught.value.code == "adapter_failed"
    (record,) = (record for record in caplog.records if record.exc_info)
    line = RedactingFormatter(formatter, secrets_in(ENV, catalogue.secret_names)).format(record)
    told = json.loads(line)["exception"] if isinstance(formatter, JsonFormatter) else line
    assert "RuntimeError: Authorization: '[secret]', [secret]" in told
    assert "0123456789" not in line


@pytest.mark.parametrize("fail", ["value", "other"])
def test_a_factorys_mistake(leaky: Path, fail: str) -> None:
    catalogue = regions(leaky, "leaky", f'{SETTINGS}\noptions = {{ fail = "{fail}" }}')
    (mistake,) = mistakes(lambda: Providers(catalogue, Settings.from_env({}), ENV))
    assert mistake.endswith("the key [key] is wrong")


def test_what_is_not_set_is_told_at_the_start(leaky: Path, catalogue: Catalogue) -> None:
    told = [
        "provider p: LEAKY_KEY, which holds its key, is not set",
        "provider p: STAGE, which holds the header x-stage, is not set",
    ]
    assert mistakes(lambda: Providers(catalogue, Settings.from_env({}), {})) == told
    file = str(leaky / "regions.toml")
    settings = Settings.from_env({"REGIONS_FILE": file, "ALLOW_SANDBOX": "1"})
    (found,) = (found for found in check_regions(settings, {}, probe=False) if found.level == "error")
    assert "set LEAKY_KEY, STAGE as for the workers" in found.text


def test_mistakes_of_file_and_environment_are_told_together(leaky: Path) -> None:
    file = leaky / "regions.toml"
    file.write_text(
        'default_model = "m"\n[regions.US]\n[[providers]]\nid = "p"\nregion = "US"\nkind = "leaky"\n'
        f"{SETTINGS}\noptions = {{ told = true }}\nmodels = {{ m = 'm' }}\n"
    )
    env = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h/0", "REGIONS_FILE": str(file)}
    told = mistakes(lambda: Configuration.from_env({**env, "ALLOW_SANDBOX": "1"}, region="US"))
    assert [mistake.partition(" p: ")[2].rstrip(".") for mistake in told] == [
        "one sentence",
        "LEAKY_KEY, which holds its key, is not set",
        "STAGE, which holds the header x-stage, is not set",
    ]
