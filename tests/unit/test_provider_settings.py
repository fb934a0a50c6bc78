"""A provider's settings in the regions file: what they mean, and each mistake in a sentence of its own."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from runner_core.errors import ConfigError
from runner_core.regions import Provider, load_catalogue, read_catalogue
from runner_core.upstreams import PARAMETERS, UpstreamModel

FILE = """
default_model = "m"
[regions.US]
{region}
[[providers]]
id = "p"
region = "US"
kind = "openai"
base_url = "https://h.example/v1"
{settings}
"""
MODELS = 'models = { m = "vendor/m" }'
ALL = frozenset(PARAMETERS)


def provider(path: Path, settings: str, *, region: str = "", models: str = MODELS) -> Provider:
    file = path / "regions.toml"
    file.write_text(FILE.format(region=region, settings=f"{settings}\n{models}"))
    return load_catalogue(file, allow_sandbox=True, env={}).providers[0]


def mistakes(path: Path, settings: str, **more: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        provider(path, settings, **more)
    return [mistake.removeprefix(f"{path}/regions.toml: providers p: ") for mistake in caught.value.mistakes]


def test_without_settings_every_parameter_goes_by_its_own_name(tmp_path: Path) -> None:
    found = provider(tmp_path, "")
    assert found.models == {"m": UpstreamModel("vendor/m", ALL)}
    assert (found.query, found.headers, found.headers_env, found.proxy) == ({}, {}, {}, "env")


def test_settings_of_a_provider_hold_for_its_models(tmp_path: Path) -> None:
    found = provider(
        tmp_path,
        'omit = ["temperature", "top_p"]\nrename = { max_tokens = "max_completion_tokens" }\nmax_tokens = 7\n'
        'body = { top_p = 1, provider = { only = ["azure/eu"] } }\nsystem_role = "developer"\n'
        'path = "/d/{model}/chat"\ngeography = "eu"',
    )
    assert found.models["m"] == UpstreamModel(
        "vendor/m",
        ALL - {"temperature", "top_p"},
        {"max_tokens": "max_completion_tokens"},
        {"top_p": 1, "provider": {"only": ["azure/eu"]}},
        7,
        "developer",
        "/d/vendor/m/chat",
    )
    assert found.geography == "eu"


def test_a_models_table_comes_before_them(tmp_path: Path) -> None:
    models = """
[providers.models]
old = "gpt-4"
[providers.models.m]
upstream = "gpt 5"
omit = ["seed"]
rename = { stop = "stop_words" }
body = { one = 1, two = 2 }
max_tokens = 9
system_role = "none"
path = "/m/{model}"
"""
    settings = 'omit = ["top_k"]\nrename = { max_tokens = "n", stop = "s" }\nbody = { one = 0, three = 3 }'
    found = provider(tmp_path, settings, models=models).models
    assert found["m"] == UpstreamModel(
        "gpt 5",
        ALL - {"seed", "system_prompt"},
        {"max_tokens": "n", "stop": "stop_words"},
        {"one": 1, "two": 2, "three": 3},
        9,
        "none",
        "/m/gpt%205",
    )
    assert found["old"] == UpstreamModel(
        "gpt-4", ALL - {"top_k"}, {"max_tokens": "n", "stop": "s"}, {"one": 0, "three": 3}
    )


def test_a_kind_sends_what_its_protocol_has(tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    text = FILE.format(region='hybrid_preference = "x"', settings=MODELS).replace('"openai"', '"hybrid"')
    file.write_text(text)
    (found,) = load_catalogue(file, allow_sandbox=True, env={}).providers
    assert found.models["m"].takes == {"temperature", "max_tokens", "system_prompt"}


def test_a_query_may_stand_in_the_address(tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    text = FILE.format(region="", settings=f'query = {{ b = "2" }}\n{MODELS}')
    file.write_text(text.replace("/v1", "/v1/?api-version=2024-10-21&flag="))
    (found,) = load_catalogue(file, allow_sandbox=True, env={}).providers
    assert found.base_url == "https://h.example/v1"
    assert found.query == {"api-version": "2024-10-21", "flag": "", "b": "2"}


LARGE = "x " * 9000
IN_HEADERS_ENV = "which belongs in headers_env."
NOT_SET = "can't be set, because each request has its own, or its connection."
ONE_MISTAKE = {
    "omit": ('omit = ["tempo"]', f"omit: 'tempo' is no parameter: the parameters are {', '.join(PARAMETERS)}."),
    "omit's type": ('omit = "seed"', "omit must be a list."),
    "rename": ('rename = { tempo = "t" }', "rename: 'tempo' is no parameter: the parameters are"),
    "rename to model": (
        'rename = { seed = "model" }',
        "rename.seed: a request has a member 'model' already: choose another name.",
    ),
    "rename to messages": ('rename = { seed = "messages" }', "rename.seed: a request has a member 'messages'"),
    "rename to stream": ('rename = { seed = "stream" }', "rename.seed: a request has a member 'stream'"),
    "rename to a parameter": (
        'rename = { seed = "top_p" }',
        "rename.seed: 'top_p' is another parameter's name: choose another name.",
    ),
    "two of one name": ('rename = { seed = "x", stop = "x" }', "rename: two parameters have the name 'x'"),
    "rename to nothing": ('rename = { seed = "" }', "rename.seed must be a text that is not empty, without"),
    "rename to NUL": ('rename = { seed = "a\\u0000" }', "rename.seed must be a text that is not empty, without"),
    "rename's type": ("rename = { seed = 1 }", "rename.seed must be a text that is not empty, without"),
    "rename the system prompt": ('rename = { system_prompt = "s" }', "rename: the system prompt is no member"),
    "body's model": ('body = { model = "x" }', "body.model overwrites a member that every request has: remove it."),
    "body's messages": ("body = { messages = [] }", "body.messages overwrites a member that every request has"),
    "body's stream": ("body = { stream = true }", "body.stream overwrites a member that every request has"),
    "body's parameter": (
        "body = { temperature = 1 }",
        "body.temperature overwrites the parameter temperature: put temperature into omit as well.",
    ),
    "body's renamed parameter": (
        'rename = { seed = "random_seed" }\nbody = { random_seed = 1 }',
        "body.random_seed overwrites the parameter seed: put seed into omit as well.",
    ),
    "large body": (f'body = {{ x = "{LARGE}" }}', "body has 18008 bytes as JSON, more than 16384."),
    "body with a date": (
        "body = { x = 2024-10-21 }",
        "body has a value that JSON can't carry: a date, a time, nan, inf, or a whole",
    ),
    "body with a large number": ("body = { x = 9007199254740992 }", "body has a value that JSON can't carry"),
    "body with NUL": ('body = { x = [{ a = "b\\u0000" }] }', "body has the character U+0000, which can't be stored."),
    "body with nan": (
        "body = { x = nan }",
        "body has a value that JSON can't carry: a date, a time, nan, inf, or a whole",
    ),
    "key in the body": (
        'body = { a = [{ b = "sk-verysecret" }] }',
        "body.a.b looks like a key: a body is stored with the answers, so it belongs in headers_env.",
    ),
    "query's type": ("query = { v = 1 }", "query: the value of 'v' must be a text."),
    "key in the query": ('query = { api_key = "verysecret" }', f"query: 'api_key' looks like a key, {IN_HEADERS_ENV}"),
    "token in the query": ('query = { token = "verysecret" }', f"query: 'token' looks like a key, {IN_HEADERS_ENV}"),
    "secret in the query": ('query = { x-secret = "verysecret" }', "query: 'x-secret' looks like a key, "),
    "value in the query": ('query = { v = "sk-verysecret" }', f"query: 'v' looks like a key, {IN_HEADERS_ENV}"),
    "line break in the query": ('query = { v = "a\\nb" }', "query has an empty name, or a character that can't be"),
    "headers' type": ("headers = { a = 1 }", "headers: the value of 'a' must be a text."),
    "header Host": ('headers = { Host = "x" }', f"headers: Host {NOT_SET}"),
    "key in a header": (
        'headers = { api-key = "verysecret" }',
        f"headers: 'api-key' looks like a key, {IN_HEADERS_ENV}",
    ),
    "value in a header": ('headers = { x = "Bearer verysecret" }', f"headers: 'x' looks like a key, {IN_HEADERS_ENV}"),
    "authorization in a header": ('headers = { Authorization = "me" }', "headers: 'Authorization' looks like a key"),
    "header's value": ('headers = { x = "a\\nb" }', "headers: the value of x has characters that no header can carry."),
    "header's foreign value": ('headers = { x = "é" }', "headers: the value of x has characters that no header"),
    "header's name": ('headers = { "a b" = "x" }', "headers: 'a b' can't be the name of a header."),
    "secret header's name": ('headers_env = { "a:b" = "X" }', "headers_env: 'a:b' can't be the name of a header."),
    "secret Host": ('headers_env = { host = "X" }', f"headers_env: host {NOT_SET}"),
    "secret Content-Length": ('headers_env = { Content-Length = "X" }', f"headers_env: Content-Length {NOT_SET}"),
    "secret Connection": ('headers_env = { Connection = "X" }', f"headers_env: Connection {NOT_SET}"),
    "secret TE": ('headers_env = { TE = "X" }', f"headers_env: TE {NOT_SET}"),
    "secret Transfer-Encoding": ('headers_env = { Transfer-Encoding = "X" }', "headers_env: Transfer-Encoding can't"),
    "secret Upgrade": ('headers_env = { upgrade = "X" }', f"headers_env: upgrade {NOT_SET}"),
    "secret Proxy-Authorization": (
        'headers_env = { Proxy-Authorization = "X" }',
        "headers_env: Proxy-Authorization can",
    ),
    "two keys": (
        'api_key_env = "K"\nheaders_env = { authorization = "X" }',
        "headers_env: authorization carries the key that api_key_env names: remove one of them.",
    ),
    "a header twice": ('headers = { A = "x" }\nheaders_env = { a = "X" }', "headers_env: a is there twice."),
    "value instead of its variable": (
        'headers_env = { api-key = "verysecret" }',
        "headers_env.api-key must be the name of an environment variable, in capitals, not the value itself.",
    ),
    "value in capitals instead of its variable": (
        'headers_env = { api-key = "AKIAIOSFODNN7EXAMPLE" }',
        "headers_env.api-key must be the name of an environment variable, in capitals, not the value itself.",
    ),
    "system_role": ('system_role = "boss"', "system_role must be one of system, developer, user, none."),
    "proxy": ('proxy = "socks5://h:1"', "proxy must be env, none or an http URL, for example"),
    "https proxy": ('proxy = "https://h:1"', "proxy must be env, none or an http URL"),
    "proxy without a host": ('proxy = "http://:3128"', "proxy must be env, none or an http URL"),
    "proxy's path": ('proxy = "http://h:1/verysecret"', "proxy must be env, none or an http URL"),
    "proxy's port": ('proxy = "http://u:verysecret@h:99999"', "proxy must be env, none or an http URL"),
    "empty proxy": ('proxy = ""', "proxy must be env, none or an http URL"),
    "path": ('path = "chat"', "path must begin with / and may have no spaces: it is added to base_url."),
    "path's space": ('path = "/a b"', "path must begin with / and may have no spaces"),
    "path's query": (
        'path = "/a?b=1"',
        "path may have no query and no fragment: write the query's members into query.",
    ),
    "path's braces": ('path = "/{deployment}"', "path may have no braces but {model}"),
    "path's type": ("path = 1", "path must be a text."),
    "max_tokens": ("max_tokens = 1000001", "max_tokens must be at most 1000000."),
    "geography's character": ('geography = "e\\nu"', "geography has an unprintable character."),
    "geography's type": ("geography = 1", "geography must be a text."),
    "options": ("options = { a = 1 }", "a provider of kind openai takes no options."),
}


@pytest.mark.parametrize(("settings", "told"), ONE_MISTAKE.values(), ids=ONE_MISTAKE.keys())
def test_one_mistake(tmp_path: Path, settings: str, told: str) -> None:
    (mistake,) = mistakes(tmp_path, settings)
    assert mistake.startswith(told)
    assert "verysecret" not in mistake


def test_no_place_for_the_system_prompt(tmp_path: Path) -> None:
    region = 'system_prompt = "You answer."'
    told = "system_role is none, yet the region has a system_prompt: remove one of them."
    assert mistakes(tmp_path, 'system_role = "none"', region=region) == [told]
    one = 'models = { m = { upstream = "x", system_role = "none" }, n = "n" }'
    assert mistakes(tmp_path, "", region=region, models=one) == [f"models.m: {told}"]
    assert provider(tmp_path, 'system_role = "none"').models["m"].takes == ALL - {"system_prompt"}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("{}", "models.m: upstream is missing."),
        ('{ upstream = "" }', "models.m: upstream is empty."),
        ('{ upstream = "x", tokens = 1 }', "models.m: tokens is not a known key."),
        ('{ upstream = "x", max_tokens = 0 }', "models.m: max_tokens must be at least 1."),
        ('{ upstream = "x", omit = ["y"] }', "models.m: omit: 'y' is no parameter: the parameters are"),
        ('{ upstream = "x", body = { model = 1 } }', "models.m: body.model overwrites a member"),
        ('{ upstream = "x", path = "y" }', "models.m: path must begin with /"),
    ],
)
def test_a_models_mistake_names_the_model(tmp_path: Path, table: str, told: str) -> None:
    (mistake,) = mistakes(tmp_path, "", models=f'models = {{ m = {table}, n = "n" }}')
    assert mistake.startswith(told)


def test_a_mistake_of_all_models_is_told_once(tmp_path: Path) -> None:
    models = 'models = { m = "m", n = { upstream = "n" }, o = { upstream = "o", max_tokens = 1 } }'
    assert len(mistakes(tmp_path, "body = { model = 1 }", models=models)) == 1


def test_a_sandbox_sends_no_requests(tmp_path: Path) -> None:
    settings = 'query = { a = "1" }\nheaders = { a = "x" }\nproxy = "none"\npath = "/x"'
    file = tmp_path / "regions.toml"
    text = FILE.format(region="", settings=f"{settings}\n{MODELS}").replace('"openai"', '"sandbox"')
    file.write_text(text.replace('base_url = "https://h.example/v1"', ""))
    _, told = read_catalogue(file, allow_sandbox=True, env={})
    assert [mistake.partition("providers p: ")[2] for mistake in told] == [
        "a provider of kind sandbox takes no query, headers, proxy, path."
    ]


def test_all_mistakes_are_told_together(tmp_path: Path) -> None:
    settings = 'omit = ["x"]\nquery = { key = "s" }\nproxy = "ftp://h"\nheaders = { host = "x" }\nsystem_role = "y"'
    assert len(mistakes(tmp_path, settings)) == 5


def test_a_repr_has_no_password(tmp_path: Path) -> None:
    found = provider(tmp_path, 'proxy = "http://u:verysecret@h:1"')
    assert "verysecret" in found.proxy
    assert "verysecret" not in repr(found)


def test_the_documents_table_has_each_key() -> None:
    text = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    table = text.partition("<!-- provider settings:")[2].partition("<!-- /provider settings -->")[0]
    rows = re.findall(r"^\| `(\w+)`( \*)? \|", table, re.MULTILINE)
    of_models = {field.name for field in fields(UpstreamModel)} - {"name", "takes"} | {"omit"}
    of_providers = {field.name for field in fields(Provider)}
    assert {name for name, _ in rows} == of_providers | of_models
    assert {name for name, star in rows if star} == of_models
