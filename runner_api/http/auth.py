"""Authorisation: administrators and readers by token, the owner of a job by its key."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import request

from runner_api.http import session
from runner_api.http.services import services
from runner_api.verbs.actor import Actor
from runner_core.errors import Rejected, SignatureError, SpecError
from runner_core.keys import key_id
from runner_core.signing import HOW_TO_SIGN, check_timestamp, verify_jcs

MAX_NONCE = 255


def admin() -> Actor:
    """Return the administrator whose token the request carries.

    Raises Rejected: admin_disabled when no token is configured, unauthorized for a missing or wrong one.
    """
    tokens = services().settings.api.admin_tokens
    if not tokens:
        raise Rejected("admin_disabled", "No administrator's token is configured.")
    if name := _owner_of_token(tokens):
        return Actor(name)
    raise Rejected("unauthorized", "An administrator's token is needed: Authorization: Bearer <token>.")


def is_administrator() -> bool:
    """Return whether the request carries an administrator's token."""
    return _owner_of_token(services().settings.api.admin_tokens) is not None


def check_reader() -> None:
    """Refuse a read without a token where READ_TOKENS is set. Raises Rejected unauthorized."""
    settings = services().settings
    if settings.api.read_tokens and request.method in ("GET", "HEAD"):
        # An administrator may read what others may.
        if _owner_of_token(settings.api.read_tokens) or _owner_of_token(settings.api.admin_tokens):
            return
        # A browser's event stream can't send a token; its cookie goes to this site's own pages only.
        if session.current(settings, services().db):
            return
        raise Rejected("unauthorized", "A reader's token is needed: Authorization: Bearer <token>.")


def actor_of(action: str, job_id: str, body: Mapping[str, Any]) -> Actor:
    """Return who asks for `action` on the job: an administrator by token, or the holder of the key that signed `body`.

    The caller compares that key with the job's, in the transaction that acts. Raises Rejected: unauthorized without a
    token and a signature, or the code of the mistake in the signed body.
    """
    if not body.get("signature"):
        if "Authorization" in request.headers:
            return admin()
        raise Rejected("unauthorized", "Send an administrator's token, or a body signed by the job's own key.")
    try:
        verify_jcs(body)
    except SignatureError as error:
        raise SignatureError(error.code, f"{error.detail} {HOW_TO_SIGN}") from None
    public_key = str(body["public_key"])
    now = datetime.now(UTC)
    service = services()
    if service.trust is not None:
        service.trust.check(public_key, now)
    if body.get("action") != action or body.get("job_id") != job_id:
        raise SpecError(detail=f"The signed body must say action {action!r} and this job's id.")
    nonce = body.get("nonce")
    if not isinstance(nonce, str) or not 0 < len(nonce) <= MAX_NONCE:
        raise Rejected("missing_field:nonce", f"A signed action needs a nonce of 1 to {MAX_NONCE} characters.")
    if service.settings.api.freshness_enforce:
        check_timestamp(body.get("timestamp"), now)
    return Actor(f"key:{key_id(public_key)}", public_key, nonce)


def sends_token() -> bool:
    """Return whether the request carries a bearer token, whichever it is."""
    return request.headers.get("Authorization", "").partition(" ")[0].lower() == "bearer"


def _owner_of_token(tokens: Mapping[str, str]) -> str | None:
    """Return the name of the sent bearer token. All tokens are compared, each in constant time: time shows nothing."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    given = sent.strip().encode()
    found = None
    for name, token in tokens.items():
        if hmac.compare_digest(given, token.encode()):
            found = name
    return found
