"""Signatures of jobs: canonical bytes, the four forms that clients sign, Ed25519, freshness.

All functions work on the received object, never on a parsed model: a default that a model fills in was never signed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature

from runner_core.errors import SignatureError
from runner_core.keys import PrivateKey, decode_base64, load_public_key
from runner_core.trust import parse_time

FORMS = ("jcs", "B", "C", "D")
MAX_AHEAD = timedelta(minutes=5)
MAX_AGE = timedelta(minutes=10)
HOW_TO_SIGN = (
    "Sign the RFC 8785 canonical JSON (keys sorted, no white space, UTF-8 without escapes) without the members "
    "signature and public_key."
)

_SIGNATURE = ("signature", "public_key")
_LEFT_OUT = {"jcs": (), "B": ("id",), "C": ("id", "created_at"), "D": ("id", "created_at")}

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
# Python's C encoder and RFC 8785 can differ in three cases: a float written with .0 or an exponent, an integer of 16
# digits or more (perhaps beyond 2^53), and an astral character in a key, because RFC 8785 sorts by UTF-16. The search
# also looks into strings; a match there costs only time. The possessive quantifiers keep the search linear, and
# starting at a punctuation mark keeps it fast.
_odd_number = re.compile(r"[:,\[]-?(?:\d{16,}+|\d++(?:\.0|(?:\.\d++)?e[+-]?\d++))[,\]}]", re.ASCII).search
_astral = re.compile("[\U00010000-\U0010ffff]").search


@dataclass(frozen=True)
class Verified:
    """A received job whose signature was verified, or an unsigned job if those are allowed.

    `spec` is the object as received. `content` is the canonical JSON of the job without its signature: form jcs signs
    these bytes. `form` and `public_key` are None for an unsigned job. `fields` are the members that the program may
    use: those that the signature covers, the id and the public key.
    """

    spec: dict[str, Any]
    content: bytes
    form: str | None
    fields: dict[str, Any]
    public_key: str | None

    @classmethod
    def of(cls, spec: dict[str, Any], form: str | None, content: bytes | None = None) -> "Verified":
        """Return the job that was signed in `form`. `content` saves its computation if it is known.

        Forms C and D do not sign members that are null, "" or 0. Such a member, if another party adds it to a signed
        job, must not change the job, so it is not in `fields`.
        """
        fields = spec
        if form is not None and form[0] in "CD":
            fields = {name: spec[name] for name in ("id", "public_key") if name in spec} | signed_object(spec, "C")
        if content is None:
            content = canonical(signed_object(spec, "jcs"))
        return cls(spec, content, form, fields, spec.get("public_key") if form else None)

    def check_freshness(self, now: datetime) -> None:
        """Compare metadata.timestamp with `now` (aware). Raises SignatureError like check_timestamp."""
        check_timestamp(_metadata(self.spec).get("timestamp"), now)


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of `value` (RFC 8785) in UTF-8.

    Python's encoder is several times faster and is used wherever it writes the same bytes.
    Raises ValueError for a value without a canonical form: NaN, integers beyond 2^53 - 1, lone surrogates.
    """
    text = _encode(value)
    if _odd_number(f"[{text}]") or (not text.isascii() and _astral(text)):
        return rfc8785.dumps(value)
    return text.encode()


def signed_object(spec: Mapping[str, Any], form: str) -> dict[str, Any]:
    """Return the object whose canonical bytes are signed in `form`: one of FORMS, with or without "+go"."""
    form = form.removesuffix("+go")
    left_out = (*_SIGNATURE, *_LEFT_OUT[form])
    kept = {name: value for name, value in spec.items() if name not in left_out}
    if form == "C":
        return _pruned(kept, keep=())
    if form == "D":
        return _pruned(kept | dict.fromkeys(_SIGNATURE, ""), keep=_SIGNATURE)
    return kept


def unsigned_member(value: Mapping[str, Any], path: str = "") -> str | None:
    """Return the path of the first member within an object that forms C and D do not sign; None if they sign all."""
    for name, item in value.items():
        here = f"{path}.{name[:64]}".removeprefix(".")
        if isinstance(item, dict) and item:
            if found := unsigned_member(item, here):
                return found
        elif _is_empty(item):
            return here
    return None


def is_signed(spec: Mapping[str, Any]) -> bool:
    """Return whether the job has a signature or a public key. One of the two is enough: verify() then refuses it."""
    return bool(spec.get("signature") or spec.get("public_key"))


def verify(spec: dict[str, Any]) -> Verified:
    """Verify the signature and return the job with the first form in which the signature is valid.

    The forms are "jcs", "B", "C", "D", and each of them with "+go" (Go's escapes). If the id is not signed, a nonce is
    required: otherwise anyone could send the job again under another id. Raises SignatureError:
    missing_field:<signature|public_key|nonce>, invalid_encoding:<signature|public_key>, signature_mismatch.
    """
    signature = decode_base64(spec.get("signature"), 64, "signature")
    key = load_public_key(spec.get("public_key"))
    content = canonical(signed_object(spec, "jcs"))
    for form, message in _messages(spec, content):
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        id_is_signed = form.startswith("jcs") and (spec.get("id") or spec.get("jobspec_id"))
        if not id_is_signed and not _has_nonce(spec):
            raise SignatureError(
                "missing_field:nonce",
                "metadata.nonce is required, because this form of signature does not cover the job's id.",
            )
        return Verified.of(spec, form, content)
    raise SignatureError(detail=f"The signature does not match the job. {HOW_TO_SIGN}")


def verify_jcs(body: Mapping[str, Any]) -> None:
    """Check a signature in form jcs over any object: a signed action or a receipt.

    Raises SignatureError like verify, but requires no nonce.
    """
    signature = decode_base64(body.get("signature"), 64, "signature")
    key = load_public_key(body.get("public_key"))
    try:
        key.verify(signature, canonical(signed_object(body, "jcs")))
    except InvalidSignature:
        raise SignatureError(detail="The signature does not match the content.") from None


def sign(spec: Mapping[str, Any], private_key: PrivateKey) -> dict[str, Any]:
    """Return a copy of `spec` signed in form jcs. An earlier `public_key` and `signature` are replaced."""
    body = signed_object(spec, "jcs")
    return body | {"public_key": private_key.public_key, "signature": private_key.sign(canonical(body))}


def check_timestamp(text: object, now: datetime) -> None:
    """Check that `text` is an RFC 3339 time at most 5 minutes ahead of `now` and at most 10 minutes old.

    Raises SignatureError missing_field:timestamp or timestamp_invalid.
    """
    if text is None or text == "":
        raise SignatureError("missing_field:timestamp", "The timestamp is missing.")
    try:
        time = parse_time(text)
    except ValueError:
        raise SignatureError("timestamp_invalid", "The timestamp must be an RFC 3339 time with its zone.") from None
    if not now - MAX_AGE <= time <= now + MAX_AHEAD:
        raise SignatureError("timestamp_invalid", "The timestamp is over 10 minutes old or over 5 minutes ahead.")


def _messages(spec: Mapping[str, Any], content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each form with the bytes that it signs. The bytes are computed only if the earlier forms do not verify."""
    for form in FORMS:
        message = content if form == "jcs" else canonical(signed_object(spec, form))
        yield form, message
        # Go's encoding/json escapes <, > and & for HTML, and U+2028 and U+2029 for JavaScript. Canonicalisers built on
        # it are known with and without the last two. All five characters occur in JSON strings only.
        html = message.replace(b"<", rb"\u003c").replace(b">", rb"\u003e").replace(b"&", rb"\u0026")
        lines = html.replace("\u2028".encode(), rb"\u2028").replace("\u2029".encode(), rb"\u2029")
        yield from ((f"{form}+go", escaped) for escaped in {html: None, lines: None} if escaped != message)


def _pruned(value: dict[str, Any], keep: tuple[str, ...]) -> dict[str, Any]:
    """Return the object without null, "", numeric 0 and empty objects, at every depth. Arrays stay as they are."""
    kept = {}
    for name, item in value.items():
        if isinstance(item, dict):
            item = _pruned(item, keep)
        if not _is_empty(item) or name in keep:
            kept[name] = item
    return kept


def _is_empty(item: object) -> bool:
    # `item == 0` is true for False as well, but False is kept.
    return item is None or item == "" or item == {} or (item == 0 and item is not False)


def _metadata(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = spec.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _has_nonce(spec: Mapping[str, Any]) -> bool:
    nonce = _metadata(spec).get("nonce")
    return isinstance(nonce, str) and nonce != ""
