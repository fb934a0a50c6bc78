"""Receipts: the facts of one execution and the SHA-256 of its output, signed with the worker's Ed25519 key.

A receipt can be verified offline, with a list of trusted keys. A receipt of version 2 also names who answered, and has
the SHA-256 of the parameters as sent and of the regions file. A receipt of version 1 has no member `version`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from runner_core.errors import SignatureError
from runner_core.keys import PrivateKey, key_id
from runner_core.served import identities
from runner_core.signing import canonical, sign, verify_jcs
from runner_core.trust import TrustedKey, TrustList

RECEIPT_VERSION = 2


def output_sha256(output: Mapping[str, Any]) -> str:
    """Return the lower-case hex SHA-256 of the output's canonical JSON. Raises ValueError like signing.canonical."""
    return hashlib.sha256(canonical(output)).hexdigest()


def parameters_sha256(calls: Iterable[Mapping[str, Any]]) -> str:
    """Return the lower-case hex SHA-256 of the parameters that an execution's calls sent.

    It is of the canonical JSON of [{question_id, run_no, sent}], sorted by question and run. `calls` has one object
    for each usable answer, and one for each failed call whose `sent` is known; other members of the objects are left
    out. `sent` is null for an answer that an earlier release stored. Raises ValueError like signing.canonical.
    """
    names = ("question_id", "run_no", "sent")
    sent = [{name: call[name] for name in names} for call in calls]
    sent.sort(key=lambda one: (one["question_id"], one["run_no"]))
    return hashlib.sha256(canonical(sent)).hexdigest()


def covered(calls: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those of an execution's stored calls that `parameters_sha256` covers.

    A call has question_id, run_no, status and sent.
    """
    return [call for call in calls if call["status"] == "ok" or call["sent"] is not None]


def mismatches(
    receipt: Mapping[str, Any], output: Mapping[str, Any] | None, calls: Iterable[Mapping[str, Any]] | None
) -> list[str]:
    """Return the names of the stored facts that differ from a genuine receipt. A fact that is None is not compared.

    `calls` are the execution's stored calls, with question_id (`prompt` for a job without questions), run_no, status,
    served and sent. A receipt of version 1 says nothing about them. Raises ValueError like signing.canonical.
    """
    wrong = []
    if output is not None and receipt.get("output_sha256") != output_sha256(output):
        wrong.append("the output")
    if is_versioned(receipt) and calls is not None:
        calls = list(calls)
        if receipt.get("served") != identities(call["served"] for call in calls) or _renamed(output, calls):
            wrong.append("the list of who answered")
        if receipt.get("parameters_sha256") != parameters_sha256(covered(calls)):
            wrong.append("the list of the parameters as sent")
    return wrong


def _renamed(output: Mapping[str, Any] | None, calls: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a usable call names another `served` than the same answer in the signed output."""
    answers = (output or {}).get("answers") or []
    signed = {(answer["question_id"], answer["run_no"]): answer.get("served") for answer in answers}
    usable = [call for call in calls if call["status"] == "ok"]
    return any(signed.get((call["question_id"], call["run_no"]), call["served"]) != call["served"] for call in usable)


def dont_match(wrong: list[str], of: str = "") -> str:
    """Return `the output of US m1 does not match its receipt` for the names of facts and for what they are of."""
    return f"{' and '.join(wrong)}{of} {'does' if len(wrong) == 1 else 'do'} not match its receipt"


def is_versioned(receipt: Mapping[str, Any]) -> bool:
    """Return whether a receipt is of version 2 or later, which names who answered."""
    version = receipt.get("version")
    return isinstance(version, int) and version >= RECEIPT_VERSION


def sign_receipt(facts: Mapping[str, Any], key: PrivateKey) -> dict[str, Any]:
    """Return `facts` with kid, public_key and signature. The form is jcs, so the kid is signed too."""
    return sign({**facts, "kid": key.kid}, key)


def verify_receipt(receipt: Mapping[str, Any], trusted: TrustList, now: datetime) -> TrustedKey:
    """Verify a receipt and return the trusted key that signed it. `now` (aware) is the time at which the key must be
    valid.

    To accept a key that has expired since, pass the time at which the receipt was made. A revoked key is never
    accepted. Raises SignatureError (missing_field, invalid_encoding, signature_mismatch) or Rejected
    trust_violation:<reason>.
    """
    verify_jcs(receipt)
    if receipt.get("kid") != key_id(receipt["public_key"]):
        raise SignatureError(detail="The receipt names another key than the one that signed it.")
    return trusted.check(receipt["public_key"], now)
