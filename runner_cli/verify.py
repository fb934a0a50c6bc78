"""`beacon verify`: the invariants, asked of the database."""

import argparse
from collections.abc import Mapping, Sequence

import psycopg

from runner_cli import invariants
from runner_cli.client import add_json
from runner_cli.database import add_database, database_url, environment
from runner_cli.exits import CommandError, Exit, UsageError
from runner_cli.invariants import Verdict
from runner_cli.kept_files import Kept, read_kept
from runner_cli.terminal import clean, remark, say_json, say_wrapped
from runner_core.redaction import described
from runner_core.settings import Settings
from runner_queue.addresses import settings_from

EXAMPLES = """\
Each invariant is one query in sql/verify; the rows that a query returns break the invariant. All queries read one
snapshot, so the command may run beside a busy stack. LEASE_SECONDS, REGION_MAX_ATTEMPTS and JOB_RETENTION_DAYS must be
those of the stack; beside `beacon up` they and REDIS_URL are taken from it. With REDIS_URL the command knows which
messages wait in a queue; without it, a message that was sent more than three leases ago counts as lost.

examples:
  beacon verify
  beacon verify --signatures         # checks every stored job's signature and every receipt again
  beacon submit --json job.json >> kept/accepted.jsonl   # a client keeps what was accepted;
  beacon verify --receipts kept --only-kept   # after a restore: names each job and result that the database lacks
  beacon verify --json | jq '.[] | select(.broken > 0)'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_database(parser)
    parser.add_argument("--signatures", action="store_true", help="check stored signatures and receipts too")
    parser.add_argument(
        "--receipts",
        metavar="DIR",
        help="name what is missing of what a client has kept: answers to submissions, jobs, receipts",
    )
    parser.add_argument(
        "--only-kept",
        action="store_true",
        help="with --receipts: leave the invariants out, so that exit 1 means that something is missing",
    )
    add_json(parser)


def verify(args: argparse.Namespace) -> int:
    """Return 1 when an invariant is broken, or something that a client has kept is missing.

    Raises CommandError when the database can't be asked, UsageError when the client's files can't be read, or when
    nothing would be checked."""
    if args.only_kept and not args.receipts:
        raise UsageError("--only-kept needs --receipts DIR, the folder of what was kept")
    env = environment(args)
    settings_from(env)  # every mistake at once
    kept = read_kept(args.receipts) if args.receipts else []
    verdicts = check(database_url(args), env, signatures=args.signatures, kept=kept, only_kept=args.only_kept)
    if args.json:
        say_json([vars(verdict) for verdict in verdicts])
    else:
        say_wrapped(*summary(verdicts), indent=11)
    return Exit.FAILED if any(verdict.broken for verdict in verdicts) else Exit.OK


def check(
    url: str, env: Mapping[str, str], *, signatures: bool = False, kept: Sequence[Kept] = (), only_kept: bool = False
) -> list[Verdict]:
    """Every verdict, with the settings and the Redis of `env`. Raises CommandError, ConfigError."""
    settings = settings_from(env)
    queued = None if only_kept else waiting(settings)
    try:
        return invariants.check(url, settings, queued, signatures=signatures, kept=kept, only_kept=only_kept)
    except psycopg.errors.UndefinedTable:
        raise CommandError("the database has no schema yet: run `beacon migrate`") from None
    except psycopg.Error as error:
        raise CommandError(f"the database can't be asked: {described(error)}") from None


def waiting(settings: Settings) -> list[str] | None:
    """Return the messages in Redis. They are read before the database, so that a message that leaves a queue
    in between is seen as claimed in the database."""
    if not settings.redis.url:
        return None
    import redis

    from runner_cli.queued import queued_ids

    try:
        return queued_ids(settings.redis.url, settings.redis.timeout_seconds)
    except redis.RedisError as error:
        remark(
            f"Redis can't be asked which messages wait ({described(error)}): "
            "I2 counts messages sent over three leases ago as lost."
        )
        return None


def summary(verdicts: list[Verdict]) -> list[str]:
    """A line for each invariant, and its examples."""
    lines = []
    for verdict in verdicts:
        lines.append(f"{verdict.name:<10} {f'{verdict.broken} broken' if verdict.broken else 'ok':<10} {verdict.title}")
        lines += [clean(f"           {job_id}: {sentence}") for job_id, sentence in verdict.examples]
        if verdict.broken > len(verdict.examples):
            lines.append(f"           and {verdict.broken - len(verdict.examples)} more")
    return lines
