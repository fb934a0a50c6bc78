"""`beacon migrate`: the schema of this release, applied once, and the logins' rights, compared each time."""

import argparse
import logging

import psycopg

from runner_cli.client import add_json
from runner_cli.database import add_database, database_url
from runner_cli.exits import CommandError, Exit
from runner_cli.terminal import say, say_json
from runner_core import migrate as schema
from runner_core.redaction import described

EXAMPLES = """\
It is safe to run this twice, or from two deployments at once: they take turns, and an applied migration is never run
again. Each run also makes the logins' missing roles, grants their missing rights, and ends with the checks that each
process makes when it starts.

examples:
  DATABASE_URL=postgresql://owner:secret@db.example.org/beacon beacon migrate
  beacon migrate --grants            # roles and rights alone, after a restore
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_database(parser)
    parser.add_argument("--grants", action="store_true", help="only make roles and give rights that are missing")
    add_json(parser)


def migrate(args: argparse.Namespace) -> int:
    """Raises CommandError when the database does not answer, MigrationError when it can't be migrated, and NotReady
    when no process could work with it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    applied = apply(database_url(args), grants_only=args.grants)
    version = schema.latest()
    if args.json:
        say_json({"applied": applied, "version": version})
    else:
        say(f"{applied} migrations applied; the schema is at version {version}, and the logins have their rights.")
    return Exit.OK


def apply(url: str, *, grants_only: bool = False) -> int:
    """Bring the database to this release's schema; returns how many migrations that took. Raises like `migrate`."""
    try:
        return schema.migrate(url, grants_only=grants_only)
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise CommandError(f"the database does not answer: {described(error)}") from None
        raise CommandError(f"the database refuses: {described(error)}") from None
