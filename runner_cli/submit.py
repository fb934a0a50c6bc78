"""`beacon submit`: send a job, once, however often the network fails in between."""

import argparse
import hashlib
import json
from typing import Any

from runner_cli import client
from runner_cli.client import Api, as_argument, header_value
from runner_cli.exits import Exit
from runner_cli.shapes import ACCEPTED
from runner_cli.sign import add_file, add_key, completed, read_job, signing_key
from runner_cli.terminal import clean, remark, say, say_json
from runner_cli.watch import add_waiting, wait_for
from runner_core.signing import is_signed, sign

EXAMPLES = """\
A signed job is sent byte for byte; an unsigned job is signed first (see `beacon sign`). If the API does not answer, the
command asks again for --patience seconds: repeating the same request makes one job only.

examples:
  beacon submit job.json
  beacon submit job.json --wait               # shows progress; exits 3 when the job fails
  generate-job | beacon submit --wait --timeout 15m --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    add_key(parser)
    parser.add_argument("--unsigned", action="store_true", help="do not sign the job (the API needs ALLOW_UNSIGNED=1)")
    parser.add_argument(
        "--idempotency-key", metavar="KEY", help="a name for this request, so that it can be repeated [the job's id]"
    )
    parser.add_argument("--wait", action="store_true", help="follow the job until it ends")
    add_waiting(parser)
    client.add_arguments(parser)


def submit(args: argparse.Namespace) -> int:
    """Submit the job; with --wait the exit code says how the job ended. Raises UsageError, Unreachable, Refused."""
    spec, raw = read_job(args.file)
    api = Api.of(args, patience=args.patience)
    if not args.unsigned and (args.key or not is_signed(spec)):
        spec = sign(completed(spec), signing_key(args.key, api.target))
        raw = encoded(spec)
    named = spec.get("id") or spec.get("jobspec_id")
    chosen = header_value("--idempotency-key", args.idempotency_key or "")
    key = chosen or (None if named else hashlib.sha256(raw).hexdigest())
    accepted, replayed = send(api, raw, key)
    job_id = str(accepted["job_id"])
    if ignored := accepted.get("ignored"):
        remark(f"warning: the API ignores {clean(', '.join(ignored))}: a job's parameters stand in `parameters`")
    if args.wait:
        if not args.json:
            remark(f"job {job_id} {'was accepted before' if replayed else 'accepted'}")
        return wait_for(api, job_id, args)
    if args.json:
        say_json(accepted)
    else:
        say(clean(job_id))
        told = "accepted before" if replayed else "accepted"
        remark(f"{told}; follow it with `beacon watch {clean(as_argument(job_id))}`")
    return Exit.OK


def send(api: Api, raw: bytes, key: str | None = None) -> tuple[dict[str, Any], bool]:
    """Submit the bytes of a job; returns the answer and whether it was a replay. Raises Unreachable, Refused.

    Without a key the job's id makes the request repeatable."""
    reply = api.ask("POST", "/api/v1/jobs", ACCEPTED, body=raw, headers={"Idempotency-Key": key} if key else None)
    return reply.body, bool(reply.body.get("idempotent"))


def encoded(spec: dict[str, Any]) -> bytes:
    return json.dumps(spec, ensure_ascii=False).encode()
