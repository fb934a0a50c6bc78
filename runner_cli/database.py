"""The database for the commands that look into it themselves."""

import argparse
import os

from runner_cli.exits import UsageError
from runner_cli.home import default_home, running
from runner_core.addresses import database_mistake, require_tls
from runner_core.errors import ConfigError
from runner_core.secret_files import read_secret, with_secrets
from runner_core.session import CONNECT_SECONDS
from runner_core.timeline import Fence


def add_database(parser: argparse.ArgumentParser) -> None:
    """--database, whose default is DATABASE_URL, else the database of the stack that runs here."""
    parser.add_argument("--database", metavar="URL", help="the owner's URL [DATABASE_URL, else that of `beacon up`]")


def find_database_url(args: argparse.Namespace) -> str:
    """The URL, with TLS required where it is not local; empty when nothing names one.

    Raises ConfigError when it can't be one.
    """
    env = read_secret(os.environ, "DATABASE_URL")
    found = str(args.database or env or running(default_home()).get("database_url") or "")
    if found and (mistake := database_mistake(found)):
        raise ConfigError([f"{'--database' if args.database else 'DATABASE_URL'} {mistake}"])
    return require_tls(found)


def database_url(args: argparse.Namespace) -> str:
    """Like find_database_url, the newest primary first. Raises UsageError when nothing names a database."""
    if found := find_database_url(args):
        return Fence().newest_first(found, "cli", CONNECT_SECONDS)
    raise UsageError(
        "DATABASE_URL is not set: set it to postgresql://user:password@host:5432/name, or start `beacon up`"
    )


def environment(args: argparse.Namespace) -> dict[str, str]:
    """This environment, completed with what the stack that runs here was given, unless another database is meant."""
    env = with_secrets(os.environ)
    facts = running(default_home())
    if facts and (args.database or env.get("DATABASE_URL") or "") in ("", facts.get("database_url")):
        kept = {"DATABASE_URL": facts.get("database_url"), "REDIS_URL": facts.get("redis_url")}
        for name, value in {**kept, **facts.get("environment", {})}.items():
            if value and not env.get(name):
                env[name] = str(value)
    return env
