"""`beacon canary`: submit jobs to a running deployment, check every trace of them, and compute the error rates."""

import argparse
import time
from typing import Any

from runner_cli import canary_metrics, client
from runner_cli.canary_round import Round, canary_job, run_round
from runner_cli.client import Api
from runner_cli.database import add_database, find_database_url
from runner_cli.exits import Exit
from runner_cli.sign import add_key, completed, read_job, signing_key
from runner_cli.terminal import clean, remark, say, say_json
from runner_cli.watch import duration
from runner_core.keys import PrivateKey

EXAMPLES = """\
Each round submits a signed job twice, waits until the job has ended, and checks the job, its rows, regions, events,
receipts and messages through the API, and with DATABASE_URL also in SQL. With --for the rounds repeat, and every
/metrics is read before and after them. The command ends early once the error rate is sure to be above the limit, so
that a roll-out can go back at once.

examples:
  beacon canary --key canary.pem
  beacon canary --for 30m --every 60s --max-error-rate 0.01 --metrics targets.json || roll-back
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spec", metavar="FILE", help="submit this job [one question to the default model in every region]"
    )
    parser.add_argument("--model", help="ask this model instead of the default one")
    add_key(parser)
    parser.add_argument(
        "--for",
        dest="length",
        type=duration,
        default=0.0,
        metavar="TIME",
        help="repeat for this long, for example 30m [one round]",
    )
    parser.add_argument("--every", type=duration, default=60.0, metavar="TIME", help="begin a round this often [60s]")
    parser.add_argument(
        "--max-error-rate",
        type=_rate,
        default=0.0,
        metavar="RATE",
        help="fail above this error rate; 0.01 is one in a hundred [0]",
    )
    parser.add_argument(
        "--timeout", type=duration, default=300.0, metavar="TIME", help="how long each job may take [5m]"
    )
    parser.add_argument(
        "--metrics",
        action="append",
        default=[],
        metavar="URL|FILE",
        help="/metrics of a process, or a file of Prometheus targets; repeatable [the API's; beside `beacon up`, all]",
    )
    add_database(parser)
    client.add_arguments(parser)


def canary(args: argparse.Namespace) -> int:
    """Return 1 when an error rate is above --max-error-rate. Raises UsageError, Unreachable before the first round."""
    find_database_url(args)  # a mistake in it is told before anything is sent
    api = Api.of(args)
    key = signing_key(args.key, api.target)
    spec = read_job(args.spec)[0] if args.spec else canary_job(api, args.model)
    urls = canary_metrics.urls_of(args.metrics or default_metrics(api))
    before = canary_metrics.read(urls)
    rounds = repeat(args, api, spec, key)
    rates = {"rounds": sum(bool(done.mismatches) for done in rounds) / len(rounds)}
    rates |= canary_metrics.rates(before, canary_metrics.read(urls))
    passed = {name: rate for name, rate in rates.items() if rate > args.max_error_rate}
    if args.json:
        say_json({"rounds": [vars(done) for done in rounds], "rates": rates, "ok": not passed})
    else:
        say(f"rounds: {len(rounds)}; error rates: " + ", ".join(f"{name} {rate:.4f}" for name, rate in rates.items()))
        say("ok" if not passed else f"above {args.max_error_rate}: {', '.join(passed)}")
    return Exit.FAILED if passed else Exit.OK


def repeat(args: argparse.Namespace, api: Api, spec: dict[str, Any], key: PrivateKey) -> list[Round]:
    """Yield rounds until --for has passed, or until the rate can't be kept any more."""
    began = time.monotonic()
    planned = max(1, int(args.length // max(args.every, 0.001)))
    rounds: list[Round] = []
    while True:
        started = time.monotonic()
        done = run_round(api, completed(spec), key, args.timeout, find_database_url(args))
        rounds.append(done)
        remark(f"{done.job_id} {'ok' if not done.mismatches else 'NOT ok'} ({time.monotonic() - started:.1f} s)")
        remark(*(clean(f"  {mismatch}") for mismatch in done.mismatches))
        failed = sum(bool(one.mismatches) for one in rounds)
        next_round = started + args.every
        if next_round > began + args.length or failed / max(planned, len(rounds)) > args.max_error_rate:
            return rounds
        time.sleep(max(0.0, next_round - time.monotonic()))


def default_metrics(api: Api) -> list[str]:
    targets = api.target.kept("targets.json")
    return [str(targets)] if targets else [f"{api.target.url}/metrics"]


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate: write 0.01 for one in a hundred")
    return rate
