"""The trust list: a JSON file of the keys that may submit jobs. Operators edit it while processes run."""

import json
import logging
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runner_core.errors import ConfigError, Rejected, SignatureError
from runner_core.keys import decode_base64

log = logging.getLogger(__name__)

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_time(text: object) -> datetime:
    """Parse an RFC 3339 time as an aware datetime. Raises ValueError for other texts, and for a time without a zone."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 time")
    return datetime.fromisoformat(text.upper())


@dataclass(frozen=True)
class TrustedKey:
    """One entry of the trust list, valid from `not_before` (inclusive) to `not_after` (exclusive)."""

    kid: str
    public_key: str
    revoked: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None

    def check(self, now: datetime) -> None:
        """Raise Rejected trust_violation:<revoked|not_yet_valid|expired> unless the key is valid at `now`."""
        reason = None
        if self.revoked:
            reason = "revoked"
        elif self.not_before and now < self.not_before:
            reason = "not_yet_valid"
        elif self.not_after and now >= self.not_after:
            reason = "expired"
        if reason:
            raise Rejected(f"trust_violation:{reason}", f"The key {self.kid} is {reason.replace('_', ' ')}.")


Version = tuple[int, int, int] | None  # a file's mtime, size and inode; None: no file


class TrustList:
    """The keys that may submit jobs, from a JSON file that is read again when it changes.

    The file is an array of {"kid", "public_key", "status": "active" | "revoked", "not_before"?, "not_after"?}.
    """

    def __init__(self, keys: Iterable[TrustedKey], path: Path | None = None, version: Version = None) -> None:
        self._keys = {key.public_key: key for key in keys}
        self._path = path
        self._version = version
        self._reading = threading.Lock()

    @classmethod
    def load(cls, path: str | Path) -> "TrustList":
        """Read the file for the first time. Raises ConfigError if it is missing, or with every mistake in it.

        A mistake that is made later is only logged, and the last good list stays in use.
        """
        version = _version(Path(path))  # before reading, so that the next check finds a change made while reading
        return cls(_read(Path(path)), Path(path), version)

    def check(self, public_key: str, now: datetime) -> TrustedKey:
        """Return the trusted key. Raises Rejected trust_violation:<unknown|revoked|not_yet_valid|expired>; `now` is
        aware."""
        self._read_again_if_changed()
        key = self._keys.get(public_key)
        if key is None:
            raise Rejected("trust_violation:unknown", "The public key is not in the trust list.")
        key.check(now)
        return key

    def _read_again_if_changed(self) -> None:
        if self._path is None or (version := _version(self._path)) == self._version:
            return
        with self._reading:
            if version == self._version:
                return
            self._version = version
            try:
                self._keys = {key.public_key: key for key in _read(self._path)}
            except ConfigError as error:
                # A mistake in the file must not refuse every job: keep the last good list, and log an error.
                log.error("could not read the trust list again, the earlier list stays in force: %s", error.detail)
            else:
                log.info("trust list read again keys=%d", len(self._keys))


def _version(path: Path) -> Version:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read(path: Path) -> list[TrustedKey]:
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"The trust list {path} can't be read: {error.strerror}."]) from None
    except ValueError:
        raise ConfigError([f"The trust list {path} is not valid JSON."]) from None
    if not isinstance(entries, list):
        raise ConfigError([f"The trust list {path} must be a JSON array."])
    keys: list[TrustedKey] = []
    mistakes: list[str] = []
    for number, entry in enumerate(entries):
        try:
            key = _entry(entry)
            if any(key.kid == other.kid or key.public_key == other.public_key for other in keys):
                raise ValueError("its kid or public_key is in the list twice")
            keys.append(key)
        except ValueError as error:
            mistakes.append(f"The trust list {path}, entry {number}: {error}.")
    if mistakes:
        raise ConfigError(mistakes)
    return keys


def _entry(entry: object) -> TrustedKey:
    """Parse one entry. Raises ValueError with the mistake."""
    if not isinstance(entry, dict):
        raise ValueError("it must be an object")
    if not isinstance(kid := entry.get("kid"), str) or not kid:
        raise ValueError("kid must be a text")
    try:
        decode_base64(entry.get("public_key"), 32, "public_key")
    except SignatureError as error:
        raise ValueError(error.detail.rstrip(".")) from None
    if entry.get("status") not in ("active", "revoked"):
        raise ValueError('status must be "active" or "revoked"')
    window = {}
    for name in ("not_before", "not_after"):
        if entry.get(name) is not None:
            try:
                window[name] = parse_time(entry[name])
            except ValueError:
                raise ValueError(f"{name} must be an RFC 3339 time") from None
    return TrustedKey(kid, entry["public_key"], entry["status"] == "revoked", **window)
