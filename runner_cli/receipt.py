"""`beacon receipt`: whether a receipt is genuine, without a network."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner_cli.client import add_json
from runner_cli.exits import CommandError, Exit, UsageError
from runner_cli.provenance import call_lines, served_line
from runner_cli.read_file import read_file, shown
from runner_cli.terminal import clean, say, say_json
from runner_core.errors import Rejected, SignatureError
from runner_core.keys import load_public_key
from runner_core.receipts import dont_match, is_versioned, mismatches, verify_receipt
from runner_core.regions import PROMPT_ID
from runner_core.strict_json import parse_json
from runner_core.trust import TrustedKey, TrustList

EXAMPLES = """\
FILE is a receipt, or an execution's details with the receipt in them; then the output, who
answered and the parameters as sent are checked against it too.
KEYS is a trust list (as `beacon keygen --trust` writes it) or one public key in base64.

examples:
  curl -s $BEACON_URL/api/v1/executions/17/details > execution.json
  beacon receipt execution.json --trust runner-keys.json
"""
SHOWN = ("job_id", "region", "model_id", "status", "provider_id", "started_at", "completed_at", "output_sha256")
SHOWN_IF_VERSIONED = ("version", "parameters_sha256", "regions_sha256")
NOT_NAMED = "It is of version 1, of an earlier release: it does not name who answered."


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
    calls = calls_of(document)
    key = check(found, document.get("output"), calls, trusted(args.trust))
    if args.json:
        say_json({"valid": True, "kid": key.kid, "names_who_answered": is_versioned(found), "receipt": found})
    else:
        say(*lines(found, calls), *verdict(found, key, calls, beside=set(document)))
    return Exit.OK


def lines(found: dict[str, Any], calls: list[dict[str, Any]] | None) -> list[str]:
    """Return the facts of the receipt, then each call beside it with its failed tries."""
    told = [f"{name:<17} {found[name]}" for name in (*SHOWN, *SHOWN_IF_VERSIONED) if name in found]
    if is_versioned(found):
        told += [f"{'served':<17} {served_line(one)}" for one in found["served"]]
    for call in calls or []:
        told += [f"--- {call['question_id']} run {call['run_no']}", *call_lines(call)]
    return [clean(line) for line in told]


def verdict(found: dict[str, Any], key: TrustedKey, calls: list[dict[str, Any]] | None, beside: set[str]) -> list[str]:
    """Return what is proved, and what the receipt does not say. `beside`: the names of what stands beside it."""
    proved = f"The receipt is genuine: signed by {clean(key.kid)}"
    proved += ", and the output matches it." if "output" in beside else "."
    if is_versioned(found) and calls is not None:
        proved += " Who answered and the parameters as sent match it, too."
    if not is_versioned(found):
        return [proved, NOT_NAMED]
    old = sum(call["status"] == "ok" and call["served"] is None for call in calls or [])
    if old:
        counted = "1 answer was" if old == 1 else f"{old} answers were"
        return [proved, f"{counted} stored by an earlier release: the receipt does not name who gave them."]
    return [proved]


def check(found: dict[str, Any], output: Any, calls: list[dict[str, Any]] | None, keys: TrustList) -> TrustedKey:
    """Return the key that signed the receipt. Raises CommandError when the receipt is not genuine."""
    try:
        key = verify_receipt(found, keys, datetime.now(UTC))
    except Rejected as error:
        raise CommandError(f"the receipt is not genuine: {error.detail} ({error.code})") from None
    try:
        wrong = mismatches(found, output, calls)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise CommandError("the receipt is genuine, but what stands beside it is no execution's details") from None
    if wrong:
        raise CommandError(f"the receipt is genuine, but {dont_match(wrong, ' beside it')}")
    return key


def calls_of(document: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the calls of an execution's details, with the members that `mismatches` reads; None without any list."""
    calls = document.get("answers") if "receipt" in document else None
    if not isinstance(calls, list):
        return None
    return [
        {"run_no": 1, "status": "ok", "served": None, "sent": None}
        | call
        | {"question_id": call.get("question_key") or call.get("question_id") or PROMPT_ID}
        for call in calls
        if isinstance(call, dict)
    ]


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
