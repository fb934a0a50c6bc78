"""Tells which texts look like a secret. The regions file must not hold one: it is stored, copied and shown.

docs/configuration.md has the same rules as a table.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any

# A name is split into words at capitals, digits and punctuation: "x-api-key" and "apiKey" both have the word "key".
SECRET_WORDS = frozenset({
    "auth", "authorization", "bearer", "cookie", "credential", "credentials", "jwt", "key", "keys", "passphrase",
    "passwd", "pwd", "secret", "secrets", "sig", "signature", "token",
})  # fmt: skip
# Words that are written together: "apikey", "authtoken", "clientsecret".
SECRET_ENDINGS = ("apikey", "accesskey", "secretkey", "privatekey", "token", "secret", "password")
# Members of providers' protocols that hold no secret though their names have such a word.
HARMLESS_NAMES = frozenset({"bos_token", "eos_token", "pad_token", "prompt_cache_key", "stop_token", "token_type"})

# Texts that are secrets whatever their names are: the beginnings of known keys, a JSON web token, a private key, a
# password in an address.
SECRET_TEXT = re.compile(
    r"""
    (?<![A-Za-z0-9]) (?:
        (?:sk|rk|pk)[-_][\w-]{6,}
      | (?:gsk|hf|ghp|gho|ghs|github_pat|r8|fw|tgp_v1)_[A-Za-z0-9_]{12,}
      | (?:xai|nvapi|pplx|glpat|csk)-[\w-]{12,}
      | xox[abeprs]-[\w-]{8,}
      | (?:AKIA|ASIA)[0-9A-Z]{16}
      | AIza[\w-]{20,}
      | ya29\.[\w-]{8,}
      | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*
    )
    | ^\s*(?:Bearer\s+\S{6,}|Basic\s+[A-Za-z0-9+/]{8,}={0,2})\s*$
    | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----
    | ://[^/\s:@]*:[^/\s@]+@
    """,
    re.VERBOSE | re.ASCII,
)
LONG_RUN = re.compile(r"[A-Za-z0-9]{32,}", re.ASCII)  # a UUID's longest run has 12
LONG_TEXT = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}", re.ASCII)
RANDOM_CHANGES = 0.4  # of neighbouring characters: random texts have 0.6, the longest names of models 0.25
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", re.ASCII)


def looks_secret(name: str, value: Any) -> bool:
    """Return whether a setting, by its name or its text, looks like a secret. Lists and tables are searched too."""
    return next(secrets_within(name, value), None) is not None


def secrets_within(name: str, value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each text in `value` that looks like a secret. `path` is the place of `name`."""
    if isinstance(value, str):
        if value and (_is_secret_name(name) or _is_secret_text(value) or _is_secret_text(name)):
            yield path
    elif isinstance(value, list):
        for item in value:
            yield from secrets_within(name, item, path)
    elif isinstance(value, dict):
        for member, inner in value.items():
            yield from secrets_within(member, inner, f"{path}.{shown_name(member)}" if path else shown_name(member))


def shown_name(name: str) -> str:
    """Return a name as a message may repeat it: a secret may stand where the name should."""
    return "..." if _is_secret_text(name) or len(name) > 64 or not name.isprintable() else name


def _is_secret_name(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if "_".join(words) in HARMLESS_NAMES:
        return False
    return any(word in SECRET_WORDS or word.endswith(SECRET_ENDINGS) for word in words)


def _is_secret_text(text: str) -> bool:
    if SECRET_TEXT.search(text):
        return True
    if any(_has_letters_and_digits(run) for run in LONG_RUN.findall(text)):
        return True
    return any(_is_random(run) for run in LONG_TEXT.findall(text))


def _has_letters_and_digits(run: str) -> bool:
    return sum(c.isdigit() for c in run) >= 3 and any(c.isalpha() for c in run)


def _is_random(run: str) -> bool:
    classes = ["A" if c.isupper() else "a" if c.islower() else "0" if c.isdigit() else "" for c in run]
    pairs = [(one, other) for one, other in itertools.pairwise(classes) if one and other]
    return sum(one != other for one, other in pairs) >= RANDOM_CHANGES * max(len(pairs), 1)
