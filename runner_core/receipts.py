"""Receipts: the facts of one execution and the SHA-256 of its output, signed with the runner's own Ed25519 key.

A receipt is checked offline with the file and a list of trusted keys alone.
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
    """The lower-case hex SHA-256 of the output's canonical JSON. Raises ValueError like signing.canonical."""
    return hashlib.sha256(canonical(output)).hexdigest()


def sign_receipt(facts: Mapping[str, Any], key: PrivateKey) -> dict[str, Any]:
    """`facts` with kid, public_key and signature: form jcs, so the kid is signed too."""
    return sign({**facts, "kid": key.kid}, key)


def verify_receipt(receipt: Mapping[str, Any], trusted: TrustList, now: datetime) -> TrustedKey:
    """The trusted key that signed `receipt`, judged at `now` (aware).

    Pass the time at which the receipt is believed to have been made to accept a key that has expired since; a revoked
    key is never accepted. Raises SignatureError (missing_field, invalid_encoding, signature_mismatch) or Rejected
    trust_violation:<reason>.
    """
    verify_jcs(receipt)
    if receipt.get("kid") != key_id(receipt["public_key"]):
        raise SignatureError(detail="The receipt names another key than the one that signed it.")
    return trusted.check(receipt["public_key"], now)
