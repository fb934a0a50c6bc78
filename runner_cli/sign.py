"""`beacon sign`: a job with our signature, form jcs."""

import argparse
import os
import secrets
import sys
import uuid
from collections.abc import Mapping
from typing import Any

from runner_cli.client import add_json
from runner_cli.exits import UsageError
from runner_cli.read_file import read_file, shown
from runner_cli.target import Target
from runner_cli.terminal import say_json
from runner_core.errors import Rejected
from runner_core.keys import PrivateKey
from runner_core.signing import sign as signed
from runner_core.strict_json import parse_json
from runner_core.timestamps import timestamp

EXAMPLES = """\
Adds what the API asks of a job besides the signature: an id where there is none, a nonce, the time. The API takes a
signature for 10 minutes after that time.

examples:
  beacon sign job.json --key signing.pem > signed.json
  cat job.json | beacon sign - | curl --json @- http://127.0.0.1:8090/api/v1/jobs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    add_key(parser)
    add_json(parser)


def sign(args: argparse.Namespace) -> int:
    """Print the signed job (always as JSON). Raises UsageError for what can't be read or signed."""
    say_json(signed(completed(read_job(args.file)[0]), signing_key(args.key, Target.find(None))))
    return 0


def add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="-", help="the job's JSON file; - or nothing for stdin")


def add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="FILE", help="the private key (PEM) [BEACON_KEY, else that of `beacon up`]")


def read_job(name: str) -> tuple[dict[str, Any], bytes]:
    """The job of a file, `-` for stdin, and its bytes, in UTF-8. Raises UsageError when it is not a JSON object."""
    if name == "-" and sys.stdin.isatty():
        raise UsageError("name a job's JSON file, or send one to stdin")
    raw = read_file(name)
    try:
        return parse_json(raw), raw
    except Rejected as error:
        raise UsageError(f"{shown(name)} is not a job: {error.detail}") from None


def completed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` with an id, and with the time and a nonce of this signature."""
    metadata = spec.get("metadata")
    now = timestamp()
    fresh = {"timestamp": now, "nonce": secrets.token_urlsafe(18)}
    named = {} if spec.get("id") or spec.get("jobspec_id") else {"id": f"job-{uuid.uuid4()}"}
    return {**spec, **named, "metadata": {**(metadata if isinstance(metadata, dict) else {}), **fresh}}


def signing_key(named: str | None, target: Target) -> PrivateKey:
    """The key of --key, BEACON_KEY, or the local stack. Raises UsageError when there is none, ConfigError."""
    path = named or os.environ.get("BEACON_KEY") or target.kept("signing.pem")
    if not path:
        raise UsageError("no signing key: name one with --key or BEACON_KEY; `beacon keygen FILE` makes one")
    return PrivateKey.load(path)
