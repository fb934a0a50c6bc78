"""What a check found: ok, a warning or an error, each with the way out."""

from dataclasses import dataclass

COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@dataclass(frozen=True)
class Finding:
    """`level` is ok, warning or error; `text` says what is and, unless it is ok, what to do."""

    level: str
    subject: str
    text: str


def ok(subject: str, text: str) -> Finding:
    return Finding("ok", subject, text)


def warning(subject: str, text: str) -> Finding:
    return Finding("warning", subject, text)


def error(subject: str, text: str) -> Finding:
    return Finding("error", subject, text)
