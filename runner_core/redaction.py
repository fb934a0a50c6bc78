"""Keeps secrets out of messages and log lines.

A library's error about a connection may repeat the address, and Redis' reply to an unknown command repeats the
command's arguments. So messages and log lines describe a failure in our own words. As a second barrier, known secret
values are removed from every line.
"""

import contextlib
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Collection, Mapping
from types import TracebackType

import psycopg

from runner_core.addresses import passwords_of
from runner_core.errors import ConfigError
from runner_core.secret_files import SECRETS, bare, read_secret

LIBRARIES = ("psycopg", "psycopg_pool", "redis", "rq", "httpx2", "httpcore2")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # their values may have no scheme
SHORTEST_SECRET = 8  # shorter values are not removed: they may be common words
_SECRET_NAME = re.compile(r"(KEY|TOKEN|TOKENS|PASSWORD|PASSWD|SECRET)$")

# The first pattern that matches a library's text gives our words for the failure.
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(found, re.IGNORECASE), words)
    for found, words in (
        (r"No master found for", "no Sentinel names a primary of this name that answers"),
        (
            r"password authentication failed|WRONGPASS|invalid username-password|SASL",
            "the server refuses the user or the password",
        ),
        (r"no password supplied|NOAUTH|authentication required|without any password", "the server asks for a password"),
        (r"pg_hba\.conf", "pg_hba.conf does not let this user in from this host"),
        (r"not permitted to log in", "this user may not log in"),
        (r'role ".*" does not exist', "the server does not know this user"),
        (r'database ".*" does not exist', "the server does not have this database"),
        (
            r"remaining connection slots|too many (clients|connections)|max number of clients",
            "the server has no free connection",
        ),
        (r"starting up|loading the dataset", "the server is starting"),
        (r"shutting down|the database system is in recovery", "the server is shutting down or recovering"),
        (r"certificate", "one side does not accept the other's certificate"),
        (r"\b(SSL|TLS)\b|wrong version number", "the TLS handshake failed: check that both sides use TLS"),
        (r"Connection refused", "connection refused"),
        (r"time(d )?out|timeout expired|couldn't get a connection", "no answer in time"),
        (
            r"translate host name|Name or service not known|name resolution|nodename|No address associated|idna|label",
            "the host's name can't be resolved",
        ),
        (r"No route to host|unreachable", "the host can't be reached"),
        (r"No such file or directory", "the socket does not exist"),
        (r"read-only|not a primary|not acceptable", "the server takes no writes"),
        (r"closed|reset by peer|broken pipe|connection.*lost|unexpected EOF", "the connection was lost"),
    )
)


def described(error: BaseException) -> str:
    """Describe in our words why PostgreSQL, Redis or a provider could not be reached. Other errors keep their text.

    The server's own answer to a statement or a command is kept, without arguments that it repeats.
    """
    library = type(error).__module__.partition(".")[0]
    if library not in LIBRARIES:
        return str(error)
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})"
    text = str(error)
    if any(kind.__name__ == "ResponseError" for kind in type(error).__mro__) or text.startswith("Redis takes no"):
        reply = re.sub(r"^Command # .* of pipeline caused error: ", "", text, flags=re.DOTALL)
        return re.sub(r",? ?with args beginning with.*", "", reply, flags=re.DOTALL)[:200]
    return next((words for found, words in _WORDS if found.search(text)), type(error).__name__)


def secrets_in(
    env: Mapping[str, str], names: Collection[str] = (), values_besides: Collection[str] = ()
) -> frozenset[str]:
    """Return an environment's secret values: passwords in addresses, tokens, keys, and the variables in `names`.

    `values_besides`: secrets that stand elsewhere.
    """
    found: set[str] = set(values_besides)
    values = dict(env)
    for name in (*SECRETS, *names):
        with contextlib.suppress(ConfigError):  # the reader of the setting reports it
            values[name] = read_secret(env, name)
    for name, value in values.items():
        if "://" in value or "password=" in value:
            found.update(passwords_of(value))
        elif name.lower() in PROXIES:
            found.update(passwords_of(f"http://{value}"))
        if name in names or _SECRET_NAME.search(name):
            found.update(part for entry in value.split(",") for part in (entry, entry.partition(":")[2]))
        if name in names:
            found.update((value, bare(value)))
    return frozenset(secret for text in found if len(secret := text.strip()) >= SHORTEST_SECRET)


def written_forms(secrets: Collection[str]) -> tuple[str, ...]:
    """Return the secrets as they stand in a line: as they are, with the escapes of Python's repr, and with JSON's. The
    longest come first, because one secret may be a part of another."""
    found = {*secrets, *(repr(secret)[1:-1] for secret in secrets)}
    found |= {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in found for ascii_only in (True, False)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def redacted(text: str, secrets: Collection[str]) -> str:
    """Return `text` without the secrets."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "[secret]")
    return text


def guard_tracebacks(secrets: Collection[str]) -> None:
    """Remove the secrets from the tracebacks of uncaught exceptions."""
    forms = written_forms(secrets)

    def show(kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, at)), forms))

    sys.excepthook = show
    if threading.excepthook is threading.__excepthook__:  # else a test runner has its own hook
        threading.excepthook = lambda args: show(args.exc_type, args.exc_value, args.exc_traceback)


class RedactingFormatter(logging.Formatter):
    """Formats by `formatter`, with libraries' failures in our words and without secrets."""

    def __init__(self, formatter: logging.Formatter, secrets: Collection[str]) -> None:
        super().__init__()
        self._formatter = formatter
        self._secrets = written_forms(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        if isinstance(record.args, tuple):
            record.args = tuple(described(a) if isinstance(a, BaseException) else a for a in record.args)
        return redacted(self._formatter.format(record), self._secrets)
