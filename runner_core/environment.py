"""Reads typed values from environment variables and collects the mistakes."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from runner_core.errors import Mistakes
from runner_core.secret_files import file_setting, read_secret

N = TypeVar("N", int, float)
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
MIN_TOKEN_CHARACTERS = 32


class EnvironmentReader:
    """Reads one environment. A setting with a mistake gets its default, so that all other settings can be read too.

    `mistakes` never contains a value, because a secret may have been put into the wrong variable. `defaults` has the
    default of each variable that was read.
    """

    def __init__(self, env: Mapping[str, str], mistakes: Mistakes) -> None:
        self.env = env
        self.mistakes = mistakes
        self.defaults: dict[str, object] = {}

    def is_set(self, name: str) -> bool:
        """Return whether NAME or NAME_FILE is set."""
        return bool(self.env.get(name, "").strip() or self.env.get(file_setting(name), "").strip())

    def text(self, name: str, default: str = "") -> str:
        """Return the value without the spaces around it."""
        self.defaults[name] = default
        return self.env.get(name, "").strip() or default

    def secret(self, name: str) -> str:
        """Return the value, which may be in a file (NAME_FILE)."""
        self.defaults |= {name: "", file_setting(name): ""}
        return self.mistakes.of(lambda: read_secret(self.env, name)) or ""

    def address(self, name: str, mistake_of: Callable[[str], str]) -> str:
        """Return an address, which is a secret. A mistake that `mistake_of` returns is added to `mistakes`."""
        url = self.secret(name)
        if url and (mistake := mistake_of(url)):
            self.mistakes.append(f"{name} {mistake}")
        return url

    def flag(self, name: str, default: bool) -> bool:
        """Return whether the variable is 1 (true, yes, on) and not 0 (false, no, off)."""
        self.defaults[name] = default
        value = self.env.get(name, "").strip().lower()
        if value in ("", *TRUE, *FALSE):
            return value in TRUE if value else default
        self.mistakes.append(f"{name} must be 1 or 0")
        return default

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return the value, which must be one of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            self.mistakes.append(f"{name} must be {' or '.join(a or 'unset' for a in allowed)}")
        return value

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return an integer from `low` to `high`."""
        return self._bounded(name, default, low, high, int)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a number from `low` to `high`."""
        return self._bounded(name, default, low, high, float)

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        """Return a whole number from `low` to `high`, or None when the variable is not set."""
        value = self.integer(name, low, low, high) if self.env.get(name, "").strip() else None
        self.defaults[name] = None
        return value

    def _bounded(self, name: str, default: N, low: N, high: N, kind: Callable[[str], N]) -> N:
        self.defaults[name] = default
        value = self.env.get(name, "").strip()
        if not value:
            return default
        try:
            number = kind(value)
        except ValueError:
            self.mistakes.append(f"{name} is not a number")
            return default
        if not low <= number <= high:
            self.mistakes.append(f"{name} must be from {low} to {high}")
            return default
        return number

    def tokens(self, name: str) -> dict[str, str]:
        """Return the tokens of `name:token,name:token` by name."""
        found: dict[str, str] = {}
        for entry in filter(None, (e.strip() for e in self.secret(name).split(","))):
            label, _, token = entry.partition(":")
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", label) or len(token) < MIN_TOKEN_CHARACTERS:
                self.mistakes.append(
                    f"{name}: each entry is name:token with a token of {MIN_TOKEN_CHARACTERS} characters or more"
                )
            else:
                found[label] = token
        return found
