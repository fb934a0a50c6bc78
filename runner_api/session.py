"""Who uses a browser: a signed cookie instead of a bearer token, and the token that its forms carry.

The cookie's key is derived from every configured token. All processes of a group make the same key without sharing
anything else, and a token that is removed ends every session.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from runner_core.errors import Rejected
from runner_core.settings import Settings

COOKIE = "beacon_session"
HOURS = 12


@dataclass(frozen=True)
class Session:
    """Somebody who has logged in; `csrf` is what this session's forms must carry."""

    name: str
    administrator: bool
    csrf: str


def begin(settings: Settings, token: str) -> Session | None:
    """The session of whoever owns `token`, None when nobody does. Every token is compared, in constant time."""
    found = None
    for names, administrator in ((settings.read_tokens, False), (settings.admin_tokens, True)):
        for name, known in names.items():
            if hmac.compare_digest(token.strip().encode(), known.encode()):
                found = Session(name, administrator, secrets.token_urlsafe(24))
    return found


def current(settings: Settings) -> Session | None:
    """The session of this request's cookie, None without a valid one."""
    cookie = request.cookies.get(COOKIE)
    if not cookie or not (settings.admin_tokens or settings.read_tokens):
        return None
    try:
        name, administrator, csrf = _signer(settings).loads(cookie, max_age=HOURS * 3600)
    except (BadSignature, ValueError):  # it expired, or its tokens changed, or it is not ours
        return None
    return Session(name, administrator, csrf)


def remember(response: Response, session: Session, settings: Settings) -> None:
    """Give the browser the session's cookie: out of scripts' reach, and never sent from another site."""
    value = _signer(settings).dumps([session.name, session.administrator, session.csrf])
    response.set_cookie(COOKIE, value, max_age=HOURS * 3600, httponly=True, samesite="Strict", secure=request.is_secure)


def forget(response: Response) -> None:
    """End the session."""
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)


def check_origin() -> None:
    """A form of another site is refused, also where there is no session yet. Raises Rejected forbidden."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    foreign = site not in (None, "same-origin", "none") or (
        site is None and origin is not None and urlsplit(origin).netloc != request.host
    )
    if foreign:
        raise Rejected("forbidden", "This form was sent from another site.")


def check_form(session: Session, form: Mapping[str, str]) -> None:
    """The form must be one that this session was given. Raises Rejected forbidden."""
    if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
        raise Rejected("forbidden", "This form is from an older session. Go back, load the page again and repeat it.")


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    tokens = sorted([*settings.admin_tokens.items(), *settings.read_tokens.items()])
    key = hashlib.sha256(repr(tokens).encode()).hexdigest()
    return URLSafeTimedSerializer(key, salt="beacon portal session", signer_kwargs={"digest_method": hashlib.sha256})
