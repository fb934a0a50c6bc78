"""Reads typed values from a TOML table and collects the mistakes in it."""

import re
from typing import Any, TypeVar

from runner_core.looks_secret import shown_name

ID = re.compile(r"[A-Za-z0-9._:-]{1,255}", re.ASCII)

_TYPES: dict[type, str] = {str: "text", int: "whole number", list: "list", dict: "table"}

T = TypeVar("T")


class Table:
    """A TOML table with its name in the file. The tables inside it share its list of mistakes."""

    def __init__(self, values: dict[str, Any], name: str, mistakes: list[str] | None = None) -> None:
        self.values = dict(values)
        self.name = name
        self.mistakes: list[str] = [] if mistakes is None else mistakes

    def wrong(self, text: str) -> None:
        self.mistakes.append(f"{self.name}: {text}" if self.name else text)

    def get(self, key: str, kind: type[T], default: T, *, required: bool = True) -> T:
        """Remove a value and return it; return `default` if the value is missing or of another type."""
        value = self.values.pop(key, None)
        if value is None:
            if required:
                self.wrong(f"{key} is missing")
            return default
        if type(value) is not kind:
            self.wrong(f"{key} must be a {_TYPES[kind]}")
            return default
        if required and not value:
            self.wrong(f"{key} is empty")
        return value

    def positive(self, key: str, default: int, most: int | None = None) -> int:
        value = self.get(key, int, default, required=False)
        if value < 1:
            self.wrong(f"{key} must be at least 1")
        elif most is not None and value > most:
            self.wrong(f"{key} must be at most {most}")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.get(key, str, default, required=False)
        if value not in allowed:
            self.wrong(f"{key} must be one of {', '.join(allowed)}")
            return default
        return value

    def list_of_text(self, key: str) -> list[str]:
        values = self.get(key, list, [], required=False)
        if not all(isinstance(value, str) and value.strip() for value in values):
            self.wrong(f"{key} must hold texts that are not empty")
        return [value for value in values if isinstance(value, str)]

    def texts(self, key: str, *, required: bool = False) -> dict[str, str]:
        """Remove a table of id = "text" and return it."""
        found = self.get(key, dict, {}, required=required)
        for name, text in found.items():
            if not ID.fullmatch(name):
                self.wrong(f"{key}: the id {name!r} may have letters, digits and . _ : - only, at most 255")
            if not isinstance(text, str) or not text.strip():
                self.wrong(f"{key}.{name} must be a text that is not empty")
        return {name: text for name, text in found.items() if isinstance(text, str)}

    def any_texts(self, key: str) -> dict[str, str]:
        """Remove a table of name = "text" and return it. A text may be empty, a name may have any characters."""
        found = self.get(key, dict, {}, required=False)
        for name, text in found.items():
            if not isinstance(text, str):
                self.wrong(f"{key}: the value of {shown_name(name)!r} must be a text")
        return {name: text for name, text in found.items() if isinstance(text, str)}

    def tables(self, key: str) -> dict[str, "Table"]:
        found = self.get(key, dict, {})
        for name in [name for name, value in found.items() if not isinstance(value, dict)]:
            self.wrong(f"{key}.{name} must be a table")
            del found[name]
        return {name: Table(value, f"{key}.{name}", self.mistakes) for name, value in found.items()}

    def array(self, key: str) -> list["Table"]:
        found = self.get(key, list, [])
        if not all(isinstance(value, dict) for value in found):
            self.wrong(f"{key} must be written as [[{key}]]")
        tables = [value for value in found if isinstance(value, dict)]
        return [Table(value, f"{key} {value.get('id', n)}", self.mistakes) for n, value in enumerate(tables, 1)]

    def no_more(self) -> None:
        """Report the keys that are left as unknown. Call it after all known keys were removed."""
        for key in self.values:
            self.wrong(f"{key} is not a known key")
