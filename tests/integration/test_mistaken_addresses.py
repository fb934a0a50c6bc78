"""Addresses with mistakes, before every process and command that reads them: exit 2, all told, and no secret."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SECRET = "Hunter2Secret"
REGIONS = Path(__file__).parents[2] / "regions/sandbox.toml"
PATIENCE_SECONDS = 60.0
PROCESSES = {
    "api": ("runner_api",),
    "publisher": ("outbox_publisher",),
    "worker": ("runner_worker", "--region", "US"),
}
COMMANDS = {name: ("runner_cli", name) for name in ("verify", "doctor", "up")}
WRONG = [
    (f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/d", f"redis://:{SECRET}#x@127.0.0.1:1/0"),
    (f'"postgresql://u:{SECRET}@127.0.0.1:1/d"', f"redis://:{SECRET}/x@127.0.0.1:1/0"),
    (f"postgresql://u:{SECRET}%zz@127.0.0.1:1/d", f"redis://:{SECRET}@127.0.0.1:port/0"),
    (f"postgresql://u:x@{SECRET}@127.0.0.1:1/d", f"u:{SECRET}@127.0.0.1:1"),
    (f"postgresql://u:{SECRET}/x@127.0.0.1:1/d", f"redis+sentinel://:{SECRET}@127.0.0.1:1/0/{SECRET}"),
    (f"postgresql://u:x {SECRET}@127.0.0.1:1/d", f"redis://:{SECRET}@127.0.0.1:1/0?{SECRET}=1"),
]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(home: Path) -> Run:
    """Runs `python -m` with this environment until it ends; its exit code and all that it has written."""

    def start(command: tuple[str, ...], **env: str) -> tuple[int, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "BEACON_"))}
        right = {
            "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "REGIONS_FILE": str(REGIONS),
            "ALLOW_SANDBOX": "1",
            "TRUST_ENFORCE": "0",
            "PROBE_SECONDS": "0",
            "BEACON_HOME": str(home),
        }
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=kept | right | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    return start


@pytest.mark.parametrize(
    ("command", "urls"), list(zip((PROCESSES | COMMANDS).values(), WRONG, strict=True)), ids=PROCESSES | COMMANDS
)
def test_mistaken_addresses_end_everything_that_reads_them(
    run: Run, command: tuple[str, ...], urls: tuple[str, str]
) -> None:
    """Each with other mistakes: tests/unit/test_addresses.py has all of them."""
    wrong = {"DATABASE_URL": urls[0], "REDIS_URL": urls[1], "ADMIN_TOKENS": f"me:{SECRET}", "LOG_JSON": SECRET}
    code, said = run(command, **wrong)
    assert code == 2, said
    assert not {word for word in (SECRET, "Traceback") if word in said}, said
    unused = {"REDIS_URL"} if command == PROCESSES["api"] else set()
    assert [name for name in wrong if name not in said] == sorted(unused), "all are told at once"


@pytest.mark.parametrize("command", ["migrate", "verify", "doctor", "canary"])
def test_an_address_on_the_command_line_is_checked_too(run: Run, command: str) -> None:
    code, said = run(("runner_cli", command, "--database", WRONG[3][0]))
    assert (code, "--database " in said) == (2, True), said
    assert not {word for word in (SECRET, "Traceback") if word in said}, said


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (PROCESSES["api"], 1),
        (PROCESSES["publisher"], 1),
        (PROCESSES["worker"], 1),
        (("runner_cli", "migrate"), 1),
        (("runner_cli", "verify"), 1),
        (("runner_cli", "doctor"), 1),
    ],
)
def test_a_password_that_a_server_refuses_is_not_said(
    run: Run, command: tuple[str, ...], code: int, database_url: str, redis_url: str
) -> None:
    scheme, _, place = database_url.partition("://")
    wrong = f"{scheme}://{place.partition(':')[0]}:{SECRET}@{place.rpartition('@')[2]}"
    found, said = run(command, DATABASE_URL=wrong, REDIS_URL=f"redis://:{SECRET}@{redis_url.rpartition('@')[2]}")
    assert found == code, said
    assert not {word for word in (SECRET, "Traceback") if word in said}, said


@pytest.mark.parametrize("command", [PROCESSES["publisher"], PROCESSES["worker"]])
def test_a_password_that_redis_refuses_ends_a_process_at_its_start(
    run: Run, command: tuple[str, ...], database_url: str, redis_url: str
) -> None:
    wrong = f"redis://:{SECRET}@{redis_url.rpartition('@')[2]}"
    code, said = run(command, DATABASE_URL=database_url, REDIS_URL=wrong)
    assert (code, "a password that Redis refuses" in said) == (2, True), said
    assert not {word for word in (SECRET, "Traceback") if word in said}, said
