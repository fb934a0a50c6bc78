"""What a worker is told at its start: the mistakes of settings, regions file and environment together."""

from pathlib import Path

import pytest

from runner_core.errors import ConfigError
from runner_worker.configuration import Configuration

FILE = """
default_model = "m"
[regions.US]
[regions.EU]
[[providers]]
id = "us"
region = "US"
kind = "openai"
base_url = "https://h.example/v1"
headers_env = { api-key = "US_HEADER" }
ca_file = "/nowhere/ca.pem"
models = { m = "m" }
[[providers]]
id = "eu"
region = "EU"
kind = "openai"
base_url = "https://h.example/v1"
headers_env = { api-key = "EU_HEADER" }
models = { m = "m" }
"""


def mistakes(path: Path, text: str, region: str | None = "US", **env: str) -> str:
    (path / "regions.toml").write_text(text)
    known = {
        "DATABASE_URL": "postgresql://h/d",
        "REDIS_URL": "redis://h/0",
        "REGIONS_FILE": str(path / "regions.toml"),
    }
    with pytest.raises(ConfigError) as caught:
        Configuration.from_env({**known, **env}, region=region)
    return "\n".join(caught.value.mistakes)


def test_file_and_environment_together(tmp_path: Path) -> None:
    told = mistakes(tmp_path, FILE.replace("[[", 'omit = ["x"]\n[[', 1), CLAIM_BATCH="x")
    assert "omit is not a known key" in told
    assert "US_HEADER, which holds the header api-key, is not set" in told
    assert "ca_file can't be read" in told
    assert "CLAIM_BATCH is not a number" in told
    assert "EU_HEADER" not in told


def test_a_key_in_the_place_of_its_variable_is_not_repeated(tmp_path: Path) -> None:
    written = '"verysecret-1", x-two = "AKIAIOSFODNN7EXAMPLE" }\napi_key_env = "verysecret-2"'
    text = FILE.replace('"US_HEADER" }', written)
    told = mistakes(tmp_path, text)
    assert told.count("must be the name of an environment variable") == 3
    assert "ca_file can't be read" in told
    assert "verysecret" not in told
    assert "AKIA" not in told


def test_each_mistake_of_a_provider_is_told_beside_the_others(tmp_path: Path) -> None:
    text = FILE.replace('id = "us"', 'id = "us"\nproxy = "ftp://h"\nquery = { token = "verysecret" }')
    told = mistakes(tmp_path, text, US_HEADER="very\nsecret").split("\n")
    assert len(told) == 4
    assert "verysecret" not in "".join(told)
    assert sum("proxy" in mistake for mistake in told) == 1


def test_a_worker_of_all_regions_needs_all_of_them(tmp_path: Path) -> None:
    told = mistakes(tmp_path, FILE.replace('ca_file = "/nowhere/ca.pem"', ""), None)
    assert ("US_HEADER" in told, "EU_HEADER" in told) == (True, True)
