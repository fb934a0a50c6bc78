"""Idempotency-Key: the name that a client gives a request to repeat it safely (draft-ietf-httpapi-idempotency-key)."""

import hashlib
import re

from flask import request

from runner_core.errors import SpecError
from runner_core.keys import key_id

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def stored_key(public_key: str | None) -> str | None:
    """Return the request's key as it is stored, None when the client sent none.

    The stored key begins with the signer's key id, so that no client can occupy a key of another. A quoted key and the
    same key without quotes are equal.
    Raises SpecError for a key that is not 1 to 255 visible ASCII characters.
    """
    sent = request.headers.get("Idempotency-Key")
    if sent is None:
        return None
    key = sent[1:-1] if len(sent) >= 2 and sent[0] == sent[-1] == '"' else sent
    if not _VISIBLE.fullmatch(key):
        raise SpecError(detail="Idempotency-Key must be 1 to 255 visible ASCII characters.")
    owner = key_id(public_key) if public_key else hashlib.sha256(b"").hexdigest()[:16]
    return f"{owner}:{key}"
