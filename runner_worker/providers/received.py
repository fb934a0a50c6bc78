"""Reads a complete HTTP response: the JSON object of an answer, or the failure that it tells."""

import contextlib
import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from runner_core.origins import origin
from runner_worker.providers.errors import failure_of
from runner_worker.providers.failures import TryFailed
from runner_worker.providers.hidden import without
from runner_worker.providers.response import Response

LARGEST_ERROR = 64 * 1024  # bytes of an error's body after it is unpacked
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
TITLE = re.compile(r"<title[^>]{0,100}>([^<]{1,200})", re.IGNORECASE)
MOST_COMMENTS = 1000  # lines
LONGEST_ORIGIN = 300  # characters; a host's name has at most 253


@dataclass(frozen=True, slots=True)
class Received:
    """A provider's answer of status 2xx: its JSON object, and its headers by their names in lower case."""

    document: dict[str, Any]
    headers: Mapping[str, str]
    status: int


def received(response: Response, all_secrets: Collection[str] = (), rare_secrets: Collection[str] = ()) -> Received:
    """Return the JSON object of an answer, without the rare secrets. An error, also one that is told with status 200,
    has none of all secrets. Raises TryFailed, and Filtered for a blocked prompt."""
    secrets = rare_secrets if 200 <= response.status < 300 else all_secrets
    headers = response.headers
    if any(secret in value for value in headers.values() for secret in secrets):
        headers = without(headers, secrets)
    if not 200 <= response.status < 300:
        document = _document(_unpacked(response), secrets)
        raise failure_of(response.status, _page(response, secrets) if document is None else document, headers)
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity") or response.body.startswith(GZIP):
        raise TryFailed("unasked_format", note=f": it is encoded as {encoding or 'gzip'}", http_status=response.status)
    document = _document(response.body, secrets)
    if not isinstance(document, dict):
        kind = headers.get("content-type", "").strip().lower()
        if kind.startswith("text/event-stream") or response.body.lstrip().startswith((b"data:", b"event:")):
            raise TryFailed("unasked_format", note=": it is an event stream", http_status=response.status)
        raise TryFailed("malformed_answer", http_status=response.status)
    if _tells_an_error(document):
        document = without(document, all_secrets)
    return Received(document, headers, response.status)


def _tells_an_error(document: Mapping[str, Any]) -> bool:
    choices = document.get("choices")
    parts = (document, *choices) if isinstance(choices, list) else (document,)
    return any(isinstance(part, dict) and part.get("error") for part in parts)


def redirect_refused(status: int, url: str, location: str, secrets: Collection[str] = ()) -> TryFailed:
    """Return the failure of a redirect that is not followed. Its sentence names the target's origin."""
    target = ""
    with contextlib.suppress(ValueError):
        if location:
            target = f": to {without(str(origin(urljoin(url, location))), secrets)[:LONGEST_ORIGIN]}"
    return TryFailed("redirect_refused", note=target, http_status=status)


def _document(body: bytes, secrets: Collection[str]) -> Any:
    """Return the JSON value of a body, None if it is none: not JSON, nested too deeply, a number of 5,000 digits."""
    try:
        # Bytes that are not UTF-8 become lone surrogates, which clean() replaces and reports.
        text = body.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
        if text.startswith(":"):
            text = text[_behind_comments(text) :]
        document = json.loads(text, strict=False)
        # Escapes of ASCII may hide a secret from a look at the text.
        repeats = "\\u00" in text or "\\/" in text or any(secret in text for secret in secrets)
        return without(document, secrets) if repeats and secrets else document
    except (ValueError, RecursionError):
        return None


def _behind_comments(text: str) -> int:
    """Return where a text goes on behind the comments of a router that waited for its upstream: ": PROCESSING"."""
    at = 0
    for _ in range(MOST_COMMENTS):
        end = text.find("\n", at)
        if not text.startswith(":", at) or end < 0:
            break
        at = end + 1
        while text[at : at + 1].isspace():
            at += 1
    return at


def _unpacked(response: Response) -> bytes:
    """Return the body of an error, unpacked if it is compressed although nobody asked for that: its words count."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate") or response.body.startswith(GZIP):
        try:
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(response.body, LARGEST_ERROR)
        except zlib.error:
            pass
    return response.body


def _page(response: Response, secrets: Collection[str]) -> str:
    """Return the words of an error that is no JSON: a page's title, or the text itself."""
    text = " ".join(_unpacked(response)[:LARGEST_ERROR].decode("utf-8", "replace").split())
    text = without(text, secrets)  # before a title is cut, which could leave a part of a secret
    found = TITLE.search(text)
    words = found[1].strip() if found else text
    return "" if words.startswith("<") or not words.isprintable() else words
