"""A regions file of one's own: defaults, and every mistake told at once."""

from pathlib import Path

import pytest

from runner_core.errors import ConfigError
from runner_core.regions import Catalogue, Provider, Region, load_catalogue
from runner_core.upstreams import UpstreamModel

GOOD = """
default_model = "m"
refusal_patterns = ["^no[.]"]

[questions]
q = "Why?"

[regions.US]
aliases = ["us-east"]

[[providers]]
id = "p"
region = "US"
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
models = { m = "vendor/m" }
"""


def load(path: Path, text: str, *, allow_sandbox: bool = False, env: dict[str, str] | None = None) -> Catalogue:
    file = path / "regions.toml"
    file.write_text(text)
    return load_catalogue(file, allow_sandbox=allow_sandbox, env=env or {})


def mistakes(path: Path, text: str, *, allow_sandbox: bool = False, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, text, allow_sandbox=allow_sandbox, env=env)
    return [mistake.removeprefix(f"{path}/regions.toml: ") for mistake in caught.value.mistakes]


class TestGoodFile:
    def test_defaults(self, tmp_path: Path) -> None:
        catalogue = load(tmp_path, GOOD)
        assert catalogue.regions == {"US": Region("US", "US", ("us-east",))}
        provider = Provider("p", "US", "openai", "http://127.0.0.1:1/v1", "", 8, {"m": UpstreamModel("vendor/m")})
        assert catalogue.providers == [provider]
        assert catalogue.provider_for("US", "m") == (provider, UpstreamModel("vendor/m"))
        assert catalogue.provider_for("EU", "m") is None
        assert catalogue.provider_for("US", "other") is None
        assert catalogue.refusal_patterns[0].search("NO. Never")

    def test_environment_in_the_url_and_no_last_slash(self, tmp_path: Path) -> None:
        text = GOOD.replace("http://127.0.0.1:1/v1", "https://${HOST}:${PORT}/v1/")
        assert load(tmp_path, text, env={"HOST": "h", "PORT": "2"}).providers[0].base_url == "https://h:2/v1"

    def test_a_region_of_ones_own(self, tmp_path: Path) -> None:
        text = GOOD.replace("US", "SA-EAST1")
        assert load(tmp_path, text).canonical_region("sa_east1") == "SA-EAST1"

    def test_sandbox_with_options(self, tmp_path: Path) -> None:
        text = GOOD.replace('"openai"', '"sandbox"').replace(
            'base_url = "http://127.0.0.1:1/v1"', "options = {hang = true}"
        )
        assert load(tmp_path, text, allow_sandbox=True).providers[0].options == {"hang": True}


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


MORE = """
[[providers]]
id = "p2"
region = "US"
kind = "openai"
base_url = "http://h/v1"
models = { m2 = "m2" }
"""
ONE_MISTAKE = {
    "no default model": (changed('default_model = "m"', ""), "default_model is missing"),
    "empty default model": (changed('default_model = "m"', 'default_model = ""'), "default_model is empty"),
    "unknown default model": (changed('"m"', '"x"'), "no provider has the default_model 'x'"),
    "default model of another type": (changed('= "m"', "= 7"), "default_model must be a text"),
    "unknown key": (changed("[questions]", "defualt = 1\n[questions]"), "defualt is not a known key"),
    "unknown key of a region": (
        changed("aliases", "alias = []\naliases"),
        "regions.US: alias is not a known key",
    ),
    "unknown key of a provider": (changed('id = "p"', 'id = "p"\nurl = ""'), "providers p: url is not a known key"),
    "bad pattern": (
        changed("^no[.]", "("),
        "refusal_patterns: '(' is not a regular expression: missing ), unterminated subpattern at position 0",
    ),
    "patterns of another type": (
        changed('["^no[.]"]', "[1]"),
        "refusal_patterns must hold texts that are not empty",
    ),
    "question id": (
        changed("q =", '"a b" ='),
        "questions: the id 'a b' may have letters, digits and . _ : - only, at most 255",
    ),
    "reserved question id": (
        changed("q =", "prompt ="),
        "questions: the id 'prompt' is reserved for the prompt of a job without questions: choose another id",
    ),
    "blank question": (changed('"Why?"', '" "'), "questions.q must be a text that is not empty"),
    "region's name": (
        GOOD.replace("US", "us"),
        "regions.us: a region's name is a capital letter, then capitals, digits and -, at most 32 in all",
    ),
    "blank alias": (changed('["us-east"]', '[""]'), "regions.US: aliases must hold texts that are not empty"),
    "no provider in a region": (
        changed("[[providers]]", "[regions.EU]\n[[providers]]"),
        "regions.EU: no provider is in this region",
    ),
    "alias of two regions": (
        changed("[[providers]]", '[regions.EU]\naliases = ["US_east"]\n[[providers]]') + MORE.replace('"US"', '"EU"'),
        "'us-east' stands for two regions, US and EU",
    ),
    "provider without an id": (changed('id = "p"', ""), "providers 1: id is missing"),
    "provider's id": (
        changed('id = "p"', 'id = "p p"'),
        "providers p p: id may have letters, digits and . _ : - only, at most 255",
    ),
    "two providers of one id": (GOOD + MORE.replace('"p2"', '"p"'), "two providers have the id p"),
    "two providers of one model": (
        GOOD + MORE.replace("m2 =", "m ="),
        "the model m has two providers in US, p and p2",
    ),
    "unknown region": (GOOD + MORE.replace('"US"', '"EU"'), "providers p2: the region 'EU' is not in this file"),
    "no kind": (changed('kind = "openai"', ""), "providers p: kind is missing"),
    "unknown kind": (
        changed('"openai"', '"open"'),
        "providers p: kind must be one of anthropic, hybrid, openai, sandbox",
    ),
    "no url": (
        changed('base_url = "http://127.0.0.1:1/v1"', ""),
        "providers p: a provider of kind openai needs a base_url",
    ),
    "variable not set": (
        changed("127.0.0.1:1", "${HOST}"),
        "providers p: base_url needs the environment variable HOST, which is not set",
    ),
    "url's scheme": (changed("http://", "ftp://"), "providers p: base_url must be an http or https URL"),
    "url without a host": (changed("127.0.0.1:1", ""), "providers p: base_url must be an http or https URL"),
    "url's port": (changed("127.0.0.1:1", "h:99999"), "providers p: base_url must be an http or https URL"),
    "secret in the url": (
        changed("127.0.0.1:1", "user:secret@h"),
        "providers p: base_url may have no user, password or fragment: a key belongs in api_key_env",
    ),
    "query in the url": (
        changed("/v1", "/v1?key=secret"),
        "providers p: base_url's query: 'key' looks like a key, which belongs in headers_env",
    ),
    "key instead of its variable": (
        changed('kind = "openai"', 'kind = "openai"\napi_key_env = "sk-secret"'),
        "providers p: api_key_env must be the name of an environment variable, in capitals, not the key itself",
    ),
    "concurrency": (
        changed('kind = "openai"', 'kind = "openai"\nmax_concurrency = 0'),
        "providers p: max_concurrency must be at least 1",
    ),
    "tokens": (
        changed('kind = "openai"', 'kind = "openai"\nmax_tokens = true'),
        "providers p: max_tokens must be a whole number",
    ),
    "upstream of another type": (
        changed('m = "vendor/m"', 'm = "vendor/m", n = 1'),
        "providers p: models.n must be a text that is not empty, or a table",
    ),
    "model id": (
        changed("m =", '"a/b" = "x", m ='),
        "providers p: models: the id 'a/b' may have letters, digits and . _ : - only, at most 255",
    ),
    "options elsewhere": (
        changed('kind = "openai"', 'kind = "openai"\noptions = { hang = true }'),
        "providers p: a provider of kind openai takes no options",
    ),
    "hybrid without the router's name": (
        changed('"openai"', '"hybrid"'),
        "providers p: a hybrid provider needs hybrid_preference in regions.US",
    ),
    "region that is no table": (
        changed("[regions.US]", "[regions]\nEU = 1\n[regions.US]"),
        "regions.EU must be a table",
    ),
}


PLAIN = """
[regions.EU]
plain = "EU-PLAIN"
[regions.US-PLAIN]
system_prompt = "Be brief."
[regions.EU-PLAIN]
system_prompt = "Be brief."
""" + "".join(
    f'[[providers]]\nid = "{name}"\nregion = "{name}"\nkind = "openai"\nbase_url = "http://h"\nmodels = {{ m = "m" }}\n'
    for name in ("EU", "US-PLAIN", "EU-PLAIN")
)


class TestPlainRegions:
    """Pairs of plain regions show the place, a region beside its plain one shows the prompt."""

    TEXT = GOOD.replace("[regions.US]", '[regions.US]\nplain = "US-PLAIN"') + PLAIN

    def test_each_region_has_one(self, tmp_path: Path) -> None:
        assert load(tmp_path, self.TEXT).plain == {"US": "US-PLAIN", "EU": "EU-PLAIN"}
        assert load(tmp_path, GOOD).plain == {}

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ('"US-PLAIN"\n', '"NOWHERE"\n', "regions.US: plain must name another region of this file, not 'NOWHERE'."),
            ('"US-PLAIN"\n', '"US"\n', "regions.US: plain must name another region of this file, not 'US'."),
            (
                "[regions.US-PLAIN]\n",
                '[regions.US-PLAIN]\nplain = "EU"\n',
                "regions.US: US-PLAIN is a plain region and can't have a plain region itself.",
            ),
            (
                'plain = "EU-PLAIN"',
                'plain = "US-PLAIN"',
                "regions.US: US-PLAIN is the plain region of two regions: each endpoint needs its own.",
            ),
            (
                '[regions.US-PLAIN]\nsystem_prompt = "Be brief."',
                '[regions.US-PLAIN]\nsystem_prompt = "Be long."',
                "the plain regions EU-PLAIN, US-PLAIN need one common system_prompt, so that only the place tells them "
                "apart.",
            ),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, old: str, new: str, told: str) -> None:
        assert told in mistakes(tmp_path, self.TEXT.replace(old, new, 1))


class TestMistakes:
    @pytest.mark.parametrize(("text", "told"), ONE_MISTAKE.values(), ids=ONE_MISTAKE.keys())
    def test_one(self, tmp_path: Path, text: str, told: str) -> None:
        assert mistakes(tmp_path, text) == [f"{told}."]

    def test_sandbox(self, tmp_path: Path) -> None:
        text = changed('"openai"', '"sandbox"')
        neither = "providers p: a provider of kind sandbox takes no base_url."
        assert mistakes(tmp_path, text, allow_sandbox=True) == [neither]
        assert mistakes(tmp_path, text) == [
            "providers p: a sandbox provider simulates its answers: set ALLOW_SANDBOX=1 to allow that.",
            neither,
        ]

    def test_empty_file(self, tmp_path: Path) -> None:
        assert mistakes(tmp_path, "") == ["regions is missing.", "providers is missing.", "default_model is missing."]

    def test_wrong_types_everywhere(self, tmp_path: Path) -> None:
        text = 'default_model = "m"\nquestions = 1\nregions = [1]\nproviders = 2\nrefusal_patterns = "x"'
        assert mistakes(tmp_path, text) == [
            "questions must be a table.",
            "regions must be a table.",
            "providers must be a list.",
            "refusal_patterns must be a list.",
            "no provider has the default_model 'm'.",
        ]

    def test_providers_that_are_no_tables(self, tmp_path: Path) -> None:
        text = 'default_model = "m"\nproviders = [1]\n[regions.US]'
        assert mistakes(tmp_path, text) == [
            "providers must be written as [[providers]].",
            "regions.US: no provider is in this region.",
            "no provider has the default_model 'm'.",
        ]

    def test_all_at_once(self, tmp_path: Path) -> None:
        text = GOOD.replace('"openai"', '"x"').replace('"m"', '"n"').replace("aliases", "alias").replace("q =", '"?" =')
        assert len(mistakes(tmp_path, text)) == 4

    def test_no_secret_is_repeated(self, tmp_path: Path) -> None:
        text = GOOD.replace("127.0.0.1:1", "user:secret1@h").replace('id = "p"', 'id = "p"\napi_key_env = "secret2"')
        assert "secret" not in " ".join(mistakes(tmp_path, text))

    def test_no_toml(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"is not valid TOML: .*line 1"):
            load(tmp_path, "= 1")
        (tmp_path / "regions.toml").write_bytes(b"\xff")
        with pytest.raises(ConfigError, match="is not valid TOML"):
            load_catalogue(tmp_path / "regions.toml", allow_sandbox=True)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="can't be read: No such file"):
            load_catalogue(tmp_path / "none.toml", allow_sandbox=True)
