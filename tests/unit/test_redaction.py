"""What log lines and messages say of failures and of secrets."""

import ast
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError

from runner_core.redaction import RedactingFormatter, described, secrets_in
from runner_core.regions import load_catalogue
from runner_core.telemetry import JsonFormatter

SECRET = "Hunter2Secret"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (psycopg.OperationalError(f'missing "=" after "{SECRET}" in connection info string'), "OperationalError"),
        (psycopg.OperationalError(f"could not translate host name {SECRET}@h to address"), "the host's name"),
        (psycopg.OperationalError(f"connection to server at {SECRET} failed: Connection refused"), "refused"),
        (
            psycopg.OperationalError(f'FATAL: password authentication failed for user "{SECRET}"'),
            "the user or the password",
        ),
        (RedisConnectionError(f"Error 111 connecting to {SECRET}:6379. Connection refused."), "connection refused"),
        (RedisConnectionError(f"Error -2 connecting to {SECRET}:1. Name or service not known."), "the host's name"),
        (RedisConnectionError(f"something new about {SECRET}"), "ConnectionError"),
        (ResponseError(f"unknown command 'HELLO', with args beginning with: '3' 'AUTH' '{SECRET}'"), "'HELLO'"),
        (NoPermissionError(f"Command # 1 (SET k {SECRET}) of pipeline caused error: may not run 'set'"), "'set'"),
        (RuntimeError("our own words"), "our own words"),
    ],
)
def test_a_librarys_failure_is_said_in_our_words(error: Exception, says: str) -> None:
    assert says in described(error)
    assert SECRET not in described(error)


def test_the_secrets_of_an_environment() -> None:
    env = {
        "DATABASE_URL": "postgresql://u:pass%40word1@h/d",
        "DATABASE_URL_API": "host=h password='another one'",
        "REDIS_URL": f"redis://:{SECRET}#x@h/0",  # with a mistake in it
        "ADMIN_TOKENS": f"me:{'t' * 32}, you:{'u' * 32}",
        "LLM_US_API_KEY": "sk-0123456789",
        "HTTPS_PROXY": "http://u:proxyword@h:3128",
        "SHORT_PASSWORD": "beacon",
        "LOG_JSON": "whatever it says",
    }
    secrets = secrets_in(env)
    wanted = {"pass%40word1", "pass@word1", "another one", f"{SECRET}#x", "t" * 32, "u" * 32, "sk-0123456789"}
    assert wanted | {"proxyword"} <= secrets
    assert not {"beacon", "whatever it says"} & secrets
    assert secrets_in({"US_CREDENTIAL": "a provider's", "EU": "another one"}, ["US_CREDENTIAL"]) == {"a provider's"}


@pytest.mark.parametrize("formatter", [JsonFormatter("worker"), logging.Formatter("%(message)s")])
def test_no_log_line_has_a_secret_or_a_librarys_text(formatter: logging.Formatter) -> None:
    redacting = RedactingFormatter(formatter, secrets_in({"REDIS_URL": f"redis://:{SECRET}@h"}))

    def line(record: Callable[[], logging.LogRecord]) -> str:
        return redacting.format(record())

    def make(text: str, *args: object, failed: Exception | None = None) -> logging.LogRecord:
        exc_info = (type(failed), failed, None) if failed else None
        return logging.LogRecord("x", logging.ERROR, __file__, 1, text, args, exc_info)

    assert SECRET not in line(lambda: make("it has %s", SECRET))
    assert SECRET not in line(lambda: make("broke", failed=ValueError(f"Port of redis://:{SECRET}@h is none")))
    refused = line(lambda: make("%s: %s", 1, RedisConnectionError("Error 111 connecting to h:1. Connection refused.")))
    text = json.loads(refused)["message"] if isinstance(formatter, JsonFormatter) else refused
    assert text == "1: connection refused"


@pytest.mark.parametrize("formatter", [JsonFormatter("worker"), logging.Formatter("%(message)s")])
def test_a_secret_is_known_in_each_form(formatter: logging.Formatter) -> None:
    quoted, part = 'Hunter"2\\Secret', "Hunter3S"
    redacting = RedactingFormatter(formatter, frozenset({quoted, part, f"{part}-and-more", f"more-{part}"}))
    for args in ((quoted,), ([quoted],), (f"{part}-and-more, more-{part}",)):
        line = redacting.format(logging.LogRecord("x", logging.ERROR, __file__, 1, "it has %s", args, None))
        assert "[secret]" in line
        for rest in ("Hunter", "Secret", "more"):
            assert rest not in line


def test_a_traceback_has_no_secret_of_the_environment() -> None:
    code = "from runner_core.telemetry import setup_logging\nsetup_logging('x', as_json=False)\n"
    for broken in ("raise ValueError(url)", "import threading; threading.Thread(target=lambda: int(url)).start()"):
        done = subprocess.run(
            [sys.executable, "-c", f"{code}import os; url = os.environ['REDIS_URL']\n{broken}"],
            env={**os.environ, "REDIS_URL": "redis://:Hunter2Secret@h/0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ("ValueError" in done.stderr, "[secret]" in done.stderr, "Hunter2" in done.stderr) == (True, True, False)


PRODUCT = ("runner_core", "runner_api", "runner_cli", "runner_queue", "runner_worker", "outbox_publisher")
SPEAKERS = re.compile(r"psycopg\.|[Rr]edis|httpx2\.|httpcore2\.")


def raw_words(source: str) -> Iterator[int]:
    """The lines that put a library's failure into a text of ours as it is. (A log line's arguments are described.)"""
    for handler in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)):
        if not (handler.name and handler.type and SPEAKERS.search(ast.unparse(handler.type))):
            continue
        for node in (found for statement in handler.body for found in ast.walk(statement)):
            said = node.value if isinstance(node, ast.FormattedValue) else None
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "str" and node.args:
                said = node.args[0]
            if isinstance(said, ast.Name) and said.id == handler.name:
                yield node.lineno
            if isinstance(node, ast.Attribute) and node.attr == "message_primary":
                yield node.lineno


def test_no_code_of_ours_repeats_what_a_library_says() -> None:
    files = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [f"{path.relative_to(ROOT)}:{n}" for path in files for n in raw_words(path.read_text())] == []
    told = """
try:
    f()
except psycopg.Error as e:
    raise X(f"no: {e}")
    y = str(e)
    z = e.diag.message_primary or ""
"""
    assert list(raw_words(told)) == [5, 6, 7]


def test_the_secrets_that_a_regions_file_names(tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(
        'default_model = "m"\n[regions.US]\n[[providers]]\nid = "p"\nregion = "US"\nkind = "openai"\n'
        'base_url = "http://h.example"\napi_key_env = "ONE"\nheaders_env = { api-key = "TWO" }\n'
        'proxy = "http://me:${THREE}@h.example"\nmodels = { m = "m" }\n'
        '[[providers]]\nid = "q"\nregion = "US"\nkind = "openai"\nbase_url = "http://${HOST}"\n'
        'proxy = "http://me:written%20word@h.example"\nmodels = { n = "n" }\n'
    )
    catalogue = load_catalogue(file, allow_sandbox=False, env={"HOST": "h.example"})
    assert catalogue.secret_names == {"ONE", "TWO", "THREE"}
    env = {"ONE": "first-key", "TWO": "Bearer second-key", "THREE": "third-word", "https_proxy": "me:fourth-word@h:1"}
    found = secrets_in(env, catalogue.secret_names, catalogue.secret_values)
    assert {"first-key", "Bearer second-key", "second-key", "third-word", "fourth-word", "written word"} <= found
    assert "written%20word" in found
