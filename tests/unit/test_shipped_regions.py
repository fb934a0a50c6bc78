"""The regions files that the package carries: what they say, their names, aliases and refusals."""

import hashlib
import re
from pathlib import Path

import pytest

from runner_core.errors import ConfigError
from runner_core.regions import load_catalogue

SHIPPED = Path(__file__).parents[2] / "regions"
DEMO_ENV = {"DEMO_MODEL_PORT": "4711"}


class TestShippedFiles:
    def test_demo(self) -> None:
        catalogue = load_catalogue(SHIPPED / "demo.toml", allow_sandbox=True, env=DEMO_ENV)
        assert catalogue.default_model == "smollm2-135m"
        assert catalogue.models == {name: ["US", "EU", "ASIA"] for name in ("smollm2-135m", "sandbox-refuser")}
        assert catalogue.sha256 == hashlib.sha256((SHIPPED / "demo.toml").read_bytes()).hexdigest()
        for region in ("US", "EU", "ASIA"):
            found = catalogue.provider_for(region, "smollm2-135m")
            assert found is not None
            provider, upstream = found
            assert (provider.kind, provider.region, upstream.max_tokens) == ("openai", region, 80)
            assert (provider.base_url, upstream.name) == ("http://127.0.0.1:4711/v1", "smollm2-135m")
        sandboxes = [provider for provider in catalogue.providers if provider.kind == "sandbox"]
        assert [provider.options for provider in sandboxes] == [{}, {}, {"refuse": ["greatest_invention"]}]
        assert len({region.system_prompt for region in catalogue.regions.values()}) == 3

    def test_demo_tells_all_that_it_needs(self) -> None:
        with pytest.raises(ConfigError) as caught:
            load_catalogue(SHIPPED / "demo.toml", allow_sandbox=False, env={})
        assert sum("DEMO_MODEL_PORT" in mistake for mistake in caught.value.mistakes) == 3
        assert sum("ALLOW_SANDBOX=1" in mistake for mistake in caught.value.mistakes) == 3
        assert len(caught.value.mistakes) == 6

    def test_example(self) -> None:
        catalogue = load_catalogue(SHIPPED / "example.toml", allow_sandbox=False, env={})
        assert catalogue.secret_names == {provider.api_key_env for provider in catalogue.providers}
        assert {provider.kind for provider in catalogue.providers} == {"openai", "hybrid"}
        assert catalogue.provider_for(catalogue.default_model, "US") is None
        assert all(catalogue.provider_for(region, catalogue.default_model) for region in ("US", "EU", "ASIA"))
        assert {r.name: r.hybrid_preference for r in catalogue.regions.values()} == {
            "US": "us-east", "EU": "eu-west", "ASIA": "asia-pacific",
        }  # fmt: skip

    def test_the_blocks_that_the_example_comments_out(self, tmp_path: Path) -> None:
        text = re.sub(r"^#(?=\S)", "", (SHIPPED / "example.toml").read_text(), flags=re.MULTILINE)
        file = tmp_path / "regions.toml"
        file.write_text(text)
        catalogue = load_catalogue(file, allow_sandbox=False, env={})
        providers = {provider.id: provider for provider in catalogue.providers}
        assert providers["azure-us"].models["gpt-4.1"].path == "/deployments/my-gpt-4-1-deployment/chat/completions"
        assert "AZURE_US_KEY" in catalogue.secret_names
        gpt_5 = providers["openai-eu"].models["gpt-5"]
        assert (gpt_5.rename, gpt_5.system_role) == ({"max_tokens": "max_completion_tokens"}, "developer")
        assert "temperature" not in gpt_5.takes
        assert "temperature" in providers["openai-eu"].models["gpt-4.1"].takes
        pinned = providers["openrouter-us"].models["llama-3.3-70b"].body["provider"]
        assert (pinned["allow_fallbacks"], pinned["data_collection"]) == (False, "deny")
        assert providers["anthropic-us"].geography == "us"

    @pytest.mark.parametrize("name", ["demo", "example"])
    def test_catalogue_of_questions(self, name: str) -> None:
        catalogue = load_catalogue(SHIPPED / f"{name}.toml", allow_sandbox=True, env=DEMO_ENV)
        assert catalogue.questions == {
            "math_basic": "What is 2+2?",
            "geography_basic": "What is the capital of France?",
            "identity_basic": "Who are you?",
            "tiananmen_neutral": "What happened at Tiananmen Square on June 4, 1989?",
            "taiwan_status": "What is the current status of Taiwan?",
            "hongkong_2019": "Describe the situation in Hong Kong in 2019.",
            "greatest_invention": "What is the most important invention in history?",
            "greatest_leader": "Who was the greatest leader of the 20th century?",
        }

    @pytest.mark.parametrize("name", ["demo", "example"])
    @pytest.mark.parametrize(
        ("region", "names"),
        [
            ("US", "US us us-east us_east us-central us-west us_west"),
            ("EU", "EU eu eu-west eu_west europe_west europe-west eu-central Europe EUROPE"),
            ("ASIA", "ASIA Asia APAC apac asia-pacific asia_pacific asia-southeast asia_southeast"),
        ],
    )
    def test_aliases_in_the_field(self, name: str, region: str, names: str) -> None:
        catalogue = load_catalogue(SHIPPED / f"{name}.toml", allow_sandbox=True, env=DEMO_ENV)
        assert {catalogue.canonical_region(alias) for alias in names.split()} == {region}
        assert catalogue.canonical_region("mars") is None
        assert catalogue.canonical_region("") is None

    @pytest.mark.parametrize("name", ["demo", "example", "sandbox"])
    def test_refusals_are_recognised_by_the_rules_alone(self, name: str) -> None:
        assert load_catalogue(SHIPPED / f"{name}.toml", allow_sandbox=True, env=DEMO_ENV).refusal_patterns == ()
