"""Reads secrets from files: each secret setting NAME has a twin NAME_FILE, the path of a file with the value.

Orchestrators mount secrets as files. A secret in a file can't be read from the environment of the process.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from runner_core.errors import ConfigError, Mistakes

PROCESSES = ("api", "publisher", "worker", "analyst")
LOGINS = tuple(f"DATABASE_URL_{process.upper()}" for process in PROCESSES)
SECRETS = ("DATABASE_URL", *LOGINS, "LISTEN_DATABASE_URL", "REDIS_URL", "ADMIN_TOKENS", "READ_TOKENS")

_SCHEME = re.compile(r"^(Bearer|Basic|Token|ApiKey)\s+", re.IGNORECASE)


def file_setting(name: str) -> str:
    """Return NAME_FILE for the setting NAME."""
    return f"{name}_FILE"


def read_secret(env: Mapping[str, str], name: str) -> str:
    """Return the value of NAME, or the text of the file NAME_FILE; empty if neither is set.

    Raises ConfigError if both are set, or the file can't be read or is empty. The message does not contain the path,
    because an operator may have written the secret itself there.
    """
    value, path = env.get(name, "").strip(), env.get(file_setting(name), "").strip()
    if not path:
        return value
    if value:
        raise ConfigError([f"{name} and {file_setting(name)} are both set: unset one of them"])
    try:
        text = Path(path).read_text("utf-8").strip()  # editors add a newline
    except OSError as error:
        raise ConfigError([f"{file_setting(name)} names a file that can't be read: {error.strerror}"]) from None
    except ValueError:
        raise ConfigError([f"{file_setting(name)} names a file that is not text in UTF-8"]) from None
    if not text:
        raise ConfigError([f"{file_setting(name)} names a file that is empty"])
    return text


def bare(credential: str) -> str:
    """Return a header's credential without the scheme in front of it: "abc" for "Bearer abc"."""
    return _SCHEME.sub("", credential)


def with_secrets(env: Mapping[str, str], names: Iterable[str] = SECRETS) -> dict[str, str]:
    """Return the environment with the secrets of `names` read from their files. Raises ConfigError."""
    mistakes, found = Mistakes(), dict(env)
    for name in names:
        if found.pop(file_setting(name), "").strip():
            found[name] = mistakes.of(lambda name=name: read_secret(env, name)) or ""  # type: ignore[misc]  # name is bound
    if mistakes:
        raise ConfigError(mistakes)
    return found
