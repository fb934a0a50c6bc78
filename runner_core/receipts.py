"""Receipts: the facts of one execution and the SHA-256 of its output, signed with the worker's Ed25519 key.

A receipt can be verified offline, with a list of trusted keys.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runner_core.errors import SignatureError
from runner_core.keys import PrivateKey, key_id
from runner_core.signing import canonical, sign, verify_jcs
from runner_core.trust import TrustedKey, TrustList


def output_sha256(output: Mapping[str, Any]) -> str:
    """Return the lower-case hex SHA-256 of the output's canonical JSON. Raises ValueError like signing.canonical."""
    return hashlib.sha256(canonical(output)).hexdigest()


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
