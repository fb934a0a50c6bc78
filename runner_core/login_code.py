"""A code that logs an administrator in once, within ten minutes, on the machine where `beacon up` runs.

`beacon up` keeps the code's hash in a file; the code itself stands only in the link that it prints. The file is
removed by the request that redeems the code. A file can be removed once, so the code works once, although each API
process has several workers.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import time
from pathlib import Path

SECONDS = 600


def make(path: Path, name: str) -> str:
    """Return a new code that logs the administrator `name` in; write its hash to `path`, in the place of an older one.

    Raises OSError."""
    code = secrets.token_urlsafe(32)
    draft = path.with_name(f"{path.name}.new")
    kept = {"sha256": _hash(code), "name": name, "expires_at": time.time() + SECONDS}
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file)
    draft.replace(path)
    return code


def redeem(path: Path, code: str) -> str | None:
    """Return the administrator's name and use the code up; None for a wrong, used or old code."""
    try:
        kept = json.loads(path.read_text())
        known, name, expires_at = str(kept["sha256"]), str(kept["name"]), float(kept["expires_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not hmac.compare_digest(_hash(code), known):
        return None
    try:
        path.unlink()
    except OSError:  # another request was first
        return None
    return name if time.time() < expires_at else None


def forget(path: Path) -> None:
    """Remove a code that nobody redeemed."""
    with contextlib.suppress(OSError):
        path.unlink()


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
