"""NAME_FILE: the secret that a file holds, and what is wrong with the file."""

from pathlib import Path

import pytest

from runner_core.errors import ConfigError
from runner_core.redaction import secrets_in
from runner_core.secret_files import SECRETS, read_secret, with_secrets
from runner_core.settings import Settings, defaults, settings_in

URL = "postgresql://u:hunter22@127.0.0.1:5432/beacon"


def mistakes(env: dict[str, str], process: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env(env, process)
    return refused.value.mistakes


def test_every_setting_that_holds_a_secret_may_be_in_a_file() -> None:
    assert {name for name in defaults() if f"{name}_FILE" in defaults()} == set(SECRETS)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n\n"])
def test_the_newline_at_the_end_of_the_file_is_cut(tmp_path: Path, end: str) -> None:
    file = tmp_path / "url"
    file.write_text(URL + end)
    settings = Settings.from_env({"DATABASE_URL_FILE": str(file), "REDIS_URL": "redis://127.0.0.1/0"}, "worker")
    assert settings.database.url == URL


def test_each_secret_reaches_its_setting(tmp_path: Path) -> None:
    values = {
        "DATABASE_URL": URL,
        "DATABASE_URL_WORKER": URL.replace("u:", "worker:"),
        "LISTEN_DATABASE_URL": URL.replace("5432", "5433"),
        "REDIS_URL": "redis://:hunter33@127.0.0.1/0",
        "ADMIN_TOKENS": f"me:{'a' * 32}",
        "READ_TOKENS": f"you:{'b' * 32}",
    }
    env = {}
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
        env[f"{name}_FILE"] = str(tmp_path / name)
    settings = Settings.from_env(env, "worker")
    assert settings.database.url == values["DATABASE_URL_WORKER"]
    assert settings.database.listen_url == values["LISTEN_DATABASE_URL"]
    assert settings.redis.url == values["REDIS_URL"]
    assert settings.api.admin_tokens == {"me": "a" * 32}
    assert settings.api.read_tokens == {"you": "b" * 32}
    assert with_secrets(env) == values
    assert settings_in(env) == env
    assert {"hunter22", "hunter33", "a" * 32, "b" * 32} <= secrets_in(env), "no log line may have them"


def test_a_secret_in_two_places_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL)
    told = mistakes({"DATABASE_URL": URL, "DATABASE_URL_FILE": str(tmp_path / "url")}, "api")
    assert told == ["DATABASE_URL and DATABASE_URL_FILE are both set: unset one of them"]


@pytest.mark.parametrize("process", ["worker", None])
def test_a_file_that_cannot_be_read_is_one_mistake_that_names_the_setting(tmp_path: Path, process: str | None) -> None:
    env = {"DATABASE_URL": URL, "REDIS_URL_FILE": str(tmp_path / "hunter44"), "ADMIN_TOKENS_FILE": str(tmp_path)}
    told = mistakes(env, process)
    assert told == [
        "REDIS_URL_FILE names a file that can't be read: No such file or directory",
        "ADMIN_TOKENS_FILE names a file that can't be read: Is a directory",
    ]


@pytest.mark.parametrize(("content", "words"), [(b"\n", "is empty"), (b"\xff\xfe", "not text in UTF-8")])
def test_a_file_without_a_text_is_a_mistake(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(content)
    (told,) = mistakes({"DATABASE_URL_FILE": str(tmp_path / "file")}, "api")
    assert told.startswith("DATABASE_URL_FILE")
    assert words in told


def test_the_keys_of_providers_may_be_in_files_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-hunter55\n")
    env = {"US_KEY_FILE": str(tmp_path / "key")}
    assert read_secret(env, "US_KEY") == "sk-hunter55"
    assert "sk-hunter55" in secrets_in(env, {"US_KEY"})


def test_an_environment_with_mistaken_files_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        with_secrets(
            {"DATABASE_URL_FILE": str(tmp_path / "a"), "REDIS_URL_FILE": str(tmp_path / "b"), "OTHER_FILE": "c"}
        )
    assert len(refused.value.mistakes) == 2
