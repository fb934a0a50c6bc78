"""What cancel and retry share: an administrator's token, or a body signed by the job's own key."""

import argparse
import json
import os
import secrets
from typing import Any

from runner_cli import client
from runner_cli.client import Api, job_path
from runner_cli.exits import UsageError
from runner_cli.shapes import Shape
from runner_cli.sign import signing_key
from runner_core.signing import sign
from runner_core.timestamps import timestamp


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--key", metavar="FILE", help="sign with the job's own key instead of using BEACON_TOKEN")
    client.add_arguments(parser)


def act(args: argparse.Namespace, action: str, shape: Shape, **fields: str | None) -> Any:
    """POST `action` on the job `args.job` with the `fields` that are not None, and return the answer of this shape.

    With --key, or without a token, the job's key signs the body. Raises UsageError, Unreachable, Refused.
    """
    api = Api.of(args)
    body: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    if args.key or not api.has_token:
        body = _signed(args, api, body | {"action": action, "job_id": args.job})
    return api.ask("POST", job_path(args.job, f"/{action}"), shape, body=json.dumps(body).encode()).body


def _signed(args: argparse.Namespace, api: Api, body: dict[str, Any]) -> dict[str, Any]:
    if not (args.key or os.environ.get("BEACON_KEY") or api.target.kept("signing.pem")):
        raise UsageError("set BEACON_TOKEN to an administrator's token, or name the job's own key with --key")
    now = timestamp()
    return sign(body | {"timestamp": now, "nonce": secrets.token_urlsafe(18)}, signing_key(args.key, api.target))
