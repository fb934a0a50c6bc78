"""`beacon receipt`: whether a receipt is genuine, without a network."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner_cli.client import add_json
from runner_cli.exits import CommandError, Exit, UsageError
from runner_cli.read_file import read_file, shown
from runner_cli.terminal import clean, say, say_json
from runner_core.errors import Rejected, SignatureError
from runner_core.keys import load_public_key
from runner_core.receipts import output_sha256, verify_receipt
from runner_core.strict_json import parse_json
from runner_core.trust import TrustedKey, TrustList

EXAMPLES = """\
FILE is a receipt, or an execution's details with the receipt in them; then the output is checked against it too.
KEYS is a trust list (as `beacon keygen --trust` writes it) or one public key in base64.

examples:
  curl -s $BEACON_URL/api/v1/executions/17/details > execution.json
  beacon receipt execution.json --trust runner-keys.json
"""
SHOWN = ("job_id", "region", "model_id", "status", "provider_id", "started_at", "completed_at", "output_sha256")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the receipt; - for stdin")
    parser.add_argument("--trust", required=True, metavar="KEYS", help="the keys that a runner may have signed with")
    add_json(parser)


def receipt(args: argparse.Namespace) -> int:
    """Return 1 when the receipt is not genuine.

    Raises UsageError for files that can't be read, ConfigError for a bad list."""
    document = read(args.file)
    found = document.get("receipt", document)
    if not isinstance(found, dict) or "signature" not in found:
        raise UsageError(f"{args.file} holds no receipt: it has no signature")
    key = check(found, document, trusted(args.trust))
    if args.json:
        say_json({"valid": True, "kid": key.kid, "receipt": found})
    else:
        say(*(clean(f"{name:<14} {found[name]}") for name in SHOWN if name in found))
        say(
            f"The receipt is genuine: signed by {clean(key.kid)}"
            + (", and the output matches it." if "output" in document else ".")
        )
    return Exit.OK


def check(found: dict[str, Any], document: dict[str, Any], keys: TrustList) -> TrustedKey:
    """Return the key that signed the receipt. Raises CommandError when the receipt is not genuine."""
    try:
        key = verify_receipt(found, keys, datetime.now(UTC))
    except Rejected as error:
        raise CommandError(f"the receipt is not genuine: {error.detail} ({error.code})") from None
    if document.get("output") is not None and output_sha256(document["output"]) != found.get("output_sha256"):
        raise CommandError("the receipt is genuine, but the output beside it does not match it")
    return key


def read(name: str) -> dict[str, Any]:
    try:
        return parse_json(read_file(name))
    except Rejected as error:
        raise UsageError(f"{shown(name)} is not a receipt: {error.detail}") from None


def trusted(named: str) -> TrustList:
    """The keys of a file, or the one key that `named` is."""
    if not Path(named).exists():
        try:
            load_public_key(named)
        except SignatureError:
            raise UsageError(f"{named} is neither a trust list's file nor a public key in base64") from None
        return TrustList([TrustedKey("the given key", named)])
    return TrustList.load(named)
