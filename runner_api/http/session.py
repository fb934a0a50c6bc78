"""Who uses a browser: a signed cookie instead of a bearer token, and the token that its forms carry.

The cookie's key is derived from every configured token. All processes of a group make the same key without sharing
anything else, and a token that is removed ends every session. A session that its owner has ended is remembered in the
database, because a copy of the cookie would otherwise outlive the logout by up to 12 hours.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import g, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from runner_core import queries
from runner_core.db import Database, retried
from runner_core.errors import Rejected
from runner_core.settings import Settings

COOKIE = "beacon_session"
HOURS = 12
_SIZE = 32  # bytes of a form's key


@dataclass(frozen=True)
class Session:
    """Somebody who has logged in. `secret` is the session's own; nothing that is sent shows it but the cookie."""

    name: str
    administrator: bool
    secret: str

    @property
    def csrf(self) -> str:
        """What a form of this session must carry: another text each time.

        Pages are compressed, and from the size of many one could guess what stays the same in each (BREACH).
        """
        mask = secrets.token_bytes(_SIZE)
        return base64.urlsafe_b64encode(mask + _mixed(mask, self._key())).decode()

    def sent(self, csrf: str) -> bool:
        """Whether `csrf` is such a text."""
        try:
            raw = base64.urlsafe_b64decode(csrf.encode())
        except (ValueError, binascii.Error):
            return False
        return len(raw) == 2 * _SIZE and hmac.compare_digest(_mixed(raw[:_SIZE], raw[_SIZE:]), self._key())

    @property
    def id(self) -> str:
        """What the database remembers of it."""
        return hashlib.sha256(b"ended " + self.secret.encode()).hexdigest()

    def _key(self) -> bytes:
        return hashlib.sha256(b"form " + self.secret.encode()).digest()


def begin(settings: Settings, token: str) -> Session | None:
    """The session of whoever owns `token`, None when nobody does. Every token is compared, in constant time."""
    found = None
    for names, administrator in ((settings.api.read_tokens, False), (settings.api.admin_tokens, True)):
        for name, known in names.items():
            if hmac.compare_digest(token.strip().encode(), known.encode()):
                found = Session(name, administrator, secrets.token_urlsafe(24))
    return found


def current(settings: Settings, db: Database) -> Session | None:
    """The session of this request's cookie, None without a valid one that goes on.

    Looked up once a request. When the database can't be asked the request fails, and its error page has no session.
    """
    if "session" not in g:
        g.session = None
        found = _signed(settings)
        if found and not _has_ended(db, found):
            g.session = found
    session: Session | None = g.session
    return session


@retried
def end(db: Database, session: Session) -> None:
    """End the session, whoever else has its cookie."""
    with db.statement() as conn:
        queries.run(conn, "sessions.end", session_id=session.id)


@retried
def _has_ended(db: Database, session: Session) -> bool:
    with db.statement() as conn:
        return queries.row(conn, "sessions.ended", session_id=session.id) is not None


def _signed(settings: Settings) -> Session | None:
    cookie = request.cookies.get(COOKIE)
    if not cookie or not (settings.api.admin_tokens or settings.api.read_tokens):
        return None
    try:
        name, administrator, secret = _signer(settings).loads(cookie, max_age=HOURS * 3600)
    except (BadSignature, ValueError):  # it expired, or its tokens changed, or it is not ours
        return None
    return Session(name, administrator, secret)


def remember(response: Response, session: Session, settings: Settings) -> None:
    """Give the browser the session's cookie: out of scripts' reach, and never sent from another site."""
    value = _signer(settings).dumps([session.name, session.administrator, session.secret])
    response.set_cookie(COOKIE, value, max_age=HOURS * 3600, httponly=True, samesite="Strict", secure=request.is_secure)


def forget(response: Response) -> None:
    """Take the cookie back from the browser."""
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
    if not session.sent(form.get("csrf", "")):
        raise Rejected("forbidden", "This form is from an older session. Go back, load the page again and repeat it.")


def _mixed(mask: bytes, key: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(mask, key, strict=True))


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    tokens = sorted([*settings.api.admin_tokens.items(), *settings.api.read_tokens.items()])
    key = hashlib.sha256(repr(tokens).encode()).hexdigest()
    return URLSafeTimedSerializer(key, salt="beacon portal session", signer_kwargs={"digest_method": hashlib.sha256})
