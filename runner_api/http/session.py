"""Sessions of browsers: a signed cookie instead of a bearer token, and the CSRF token of the session's forms.

The key that signs cookies is derived from all configured tokens: every process derives the same key, and removing a
token ends all sessions. The database remembers sessions that were ended by a logout, because a copy of the cookie would
otherwise stay valid for up to 12 hours.
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
    """A login. `secret` belongs to this session; only the cookie contains it."""

    name: str
    administrator: bool
    secret: str

    @property
    def csrf(self) -> str:
        """The token that a form of this session must carry, masked differently each time.

        Pages are compressed. A token that stayed the same could be guessed from the sizes of many pages (BREACH).
        """
        mask = secrets.token_bytes(_SIZE)
        return base64.urlsafe_b64encode(mask + _mixed(mask, self._key())).decode()

    def accepts(self, csrf: str) -> bool:
        """Return whether `csrf` is a token of this session."""
        try:
            raw = base64.urlsafe_b64decode(csrf.encode())
        except (ValueError, binascii.Error):
            return False
        return len(raw) == 2 * _SIZE and hmac.compare_digest(_mixed(raw[:_SIZE], raw[_SIZE:]), self._key())

    @property
    def id(self) -> str:
        """The id by which the database remembers that the session was ended."""
        return hashlib.sha256(b"ended " + self.secret.encode()).hexdigest()

    def _key(self) -> bytes:
        return hashlib.sha256(b"form " + self.secret.encode()).digest()


def begin(settings: Settings, token: str) -> Session | None:
    """Return a new session for the owner of `token`, None for an unknown token. All are compared, in constant time."""
    found = None
    for names, administrator in ((settings.api.read_tokens, False), (settings.api.admin_tokens, True)):
        for name, known in names.items():
            if hmac.compare_digest(token.strip().encode(), known.encode()):
                found = Session(name, administrator, secrets.token_urlsafe(24))
    return found


def begin_as(settings: Settings, name: str) -> Session | None:
    """Return a new session of the administrator `name`; None where no administrator has this name (any more)."""
    return Session(name, True, secrets.token_urlsafe(24)) if name in settings.api.admin_tokens else None


def current(settings: Settings, db: Database) -> Session | None:
    """Return the session of this request's cookie, None without a valid cookie or after a logout.

    The session is looked up once a request. When the database can't be asked, the request fails, and its error page has
    no session.
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
    """End the session for every copy of its cookie."""
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
    except (BadSignature, ValueError):  # expired, signed with earlier tokens, or forged
        return None
    return Session(name, administrator, secret)


def remember(response: Response, session: Session, settings: Settings) -> None:
    """Set the session's cookie: scripts can't read it, and requests from other sites don't carry it."""
    value = _signer(settings).dumps([session.name, session.administrator, session.secret])
    response.set_cookie(COOKIE, value, max_age=HOURS * 3600, httponly=True, samesite="Strict", secure=request.is_secure)


def forget(response: Response) -> None:
    """Delete the browser's cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)


def check_origin() -> None:
    """Refuse a form of another site, also where no session exists yet. Raises Rejected forbidden."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    foreign = site not in (None, "same-origin", "none") or (
        site is None and origin is not None and urlsplit(origin).netloc != request.host
    )
    if foreign:
        raise Rejected("forbidden", "This form was sent from another site.")


def check_form(session: Session, form: Mapping[str, str]) -> None:
    """Refuse a form without a CSRF token of this session. Raises Rejected forbidden."""
    if not session.accepts(form.get("csrf", "")):
        raise Rejected("forbidden", "This form is from an older session. Go back, load the page again and repeat it.")


def _mixed(mask: bytes, key: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(mask, key, strict=True))


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    tokens = sorted([*settings.api.admin_tokens.items(), *settings.api.read_tokens.items()])
    key = hashlib.sha256(repr(tokens).encode()).hexdigest()
    return URLSafeTimedSerializer(key, salt="beacon portal session", signer_kwargs={"digest_method": hashlib.sha256})
