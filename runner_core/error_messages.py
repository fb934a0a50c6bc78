"""The message of a failed call as people read it, on pages and in the terminal."""

import re

_TWICE = re.compile(r"HTTP status (\d{3})(.*?) \(HTTP \1\)")
_OLD_REMEDY = re.compile(r" The key is missing or unknown: check api_key_env\.")


def plain(message: str, provider: str) -> str:
    """Return an error's message without its provider's name and without what it says twice."""
    text = message.removeprefix(f"Provider {provider}: ") if provider else message
    return _OLD_REMEDY.sub("", _TWICE.sub(r"HTTP status \1\2", text)).strip()
