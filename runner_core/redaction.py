"""What may be said of a failure and of a secret.

A library's text about a connection repeats what it was given, and a reply of Redis to an unknown command repeats the
command's arguments. So messages and log lines have our own words for a failure, and the values that are known to be
secret are taken out of every line as the second barrier.
"""

import contextlib
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
from runner_core.secret_files import SECRETS, read_secret

LIBRARIES = ("psycopg", "psycopg_pool", "redis", "rq", "httpx2", "httpcore2")
SHORTEST_SECRET = 8  # a shorter one may be a word that every line has, and is not worth guessing
_SECRET_NAME = re.compile(r"(KEY|TOKEN|TOKENS|PASSWORD|PASSWD|SECRET)$")

# The first that is found in a library's text gives our words for the failure.
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(found, re.IGNORECASE), words)
    for found, words in (
        (r"password authentication failed|WRONGPASS|invalid username-password|SASL", "it refuses user or password"),
        (r"no password supplied|NOAUTH|authentication required|without any password", "it asks for a password"),
        (r"pg_hba\.conf", "it lets this user in from nowhere near here (pg_hba.conf)"),
        (r"not permitted to log in", "this user may not log in"),
        (r'role ".*" does not exist', "it has no such user"),
        (r'database ".*" does not exist', "it has no such database"),
        (
            r"remaining connection slots|too many (clients|connections)|max number of clients",
            "it has no connection left",
        ),
        (r"starting up|loading the dataset", "it is starting"),
        (r"shutting down|the database system is in recovery", "it is shutting down or recovering"),
        (r"certificate", "its certificate is not trusted, or ours is refused"),
        (r"\b(SSL|TLS)\b|wrong version number", "no agreement on TLS"),
        (r"Connection refused", "connection refused"),
        (r"time(d )?out|timeout expired|couldn't get a connection", "no answer in time"),
        (
            r"translate host name|Name or service not known|name resolution|nodename|No address associated|idna|label",
            "its host's name is not known",
        ),
        (r"No route to host|unreachable", "its host can't be reached"),
        (r"No such file or directory", "its socket is not there"),
        (r"read-only|not a primary|not acceptable", "it takes no writes"),
        (r"closed|reset by peer|broken pipe|connection.*lost|unexpected EOF", "the connection was lost"),
    )
)


def described(error: BaseException) -> str:
    """Say in our words why PostgreSQL, Redis or a provider could not be asked; other errors speak for themselves.

    What the server itself answered to a statement or a command is kept, without the arguments that it may repeat.
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


def secrets_in(env: Mapping[str, str], names: Collection[str] = ()) -> frozenset[str]:
    """The values of an environment that no line may have: passwords in addresses, tokens, keys, what `names` hold."""
    found: set[str] = set()
    values = dict(env)
    for name in (*SECRETS, *names):
        with contextlib.suppress(ConfigError):  # whoever needs the secret tells the mistake
            values[name] = read_secret(env, name)
    for name, value in values.items():
        if "://" in value or "password=" in value:
            found.update(passwords_of(value))
        if name in names or _SECRET_NAME.search(name):
            found.update(part for entry in value.split(",") for part in (entry, entry.partition(":")[2]))
    return frozenset(secret for text in found if len(secret := text.strip()) >= SHORTEST_SECRET)


def redacted(text: str, secrets: Collection[str]) -> str:
    """`text` without the secrets."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "[secret]")
    return text


def guard_tracebacks(secrets: Collection[str]) -> None:
    """Show what nobody has caught without the secrets."""

    def show(kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, at)), secrets))

    sys.excepthook = show
    if threading.excepthook is threading.__excepthook__:  # and not that of a test's runner
        threading.excepthook = lambda args: show(args.exc_type, args.exc_value, args.exc_traceback)


class RedactingFormatter(logging.Formatter):
    """Formats with `formatter` what may be said: failures of libraries in our words, and none of the secrets."""

    def __init__(self, formatter: logging.Formatter, secrets: Collection[str]) -> None:
        super().__init__()
        self._formatter = formatter
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        if isinstance(record.args, tuple):
            record.args = tuple(described(a) if isinstance(a, BaseException) else a for a in record.args)
        return redacted(self._formatter.format(record), self._secrets)
