"""The home: the folder where one local stack keeps its data, keys, passwords and logs."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner_core.errors import BeaconError
from runner_core.keys import PrivateKey

CHECKOUT = Path(__file__).parent.parent


class HomeInUse(BeaconError):
    """Another stack runs from this home."""


def default_home(env: Mapping[str, str] = os.environ) -> Path:
    """BEACON_HOME, else a folder of this checkout's own: below /var/lib for root, else below $XDG_STATE_HOME."""
    if env.get("BEACON_HOME"):
        return Path(env["BEACON_HOME"]).expanduser().absolute()
    state = Path("/var/lib") if os.geteuid() == 0 else Path(env.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return state / "beacon-runner" / hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:12]


def make_home(home: Path) -> Path:
    """Make the folder. Others may pass through it (root's servers run as another user) but not look into it."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return home


@contextlib.contextmanager
def claimed(home: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Hold the home for this process. Yields a function that writes what `running` reads: pid and URLs.

    Raises HomeInUse, naming the other's pid and URL. The lock ends with the process, however it ends."""
    record = make_home(home) / "running.json"
    with (home / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = running(home)
            raise HomeInUse(
                f"Another stack runs here already: pid {other.get('pid', 'unknown')}, "
                f"API {other.get('api_url', 'not up yet')} (home {home})."
            ) from None

        def write(facts: Mapping[str, Any]) -> None:
            _write_private(record, json.dumps({"pid": os.getpid(), **facts}, indent=1))

        write({})
        try:
            yield write
        finally:
            record.unlink(missing_ok=True)


def running(home: Path) -> dict[str, Any]:
    """What the stack of this home wrote about itself: pid, api_url, database_url, redis_url; {} when none did."""
    try:
        facts: dict[str, Any] = json.loads((home / "running.json").read_text())
    except (OSError, ValueError):
        return {}
    return facts


def secret(home: Path, name: str) -> str:
    """The random secret of this name, made once and kept in the home (32 characters and more)."""
    path = home / name
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32))
    return path.read_text()


def make_keys(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """What the API and the workers need beside the servers, where `env` does not say: keys, trust, an admin's token.

    The home's signing key (signing.pem) is trusted, so that its owner can submit at once; runner-keys.json is the list
    with which its receipts are checked. Returns what to add to `env`.
    """
    added: dict[str, str] = {}
    signing, receipts = home / "signing.pem", home / "receipt.pem"
    for path in (signing, receipts):
        if not path.exists():
            PrivateKey.generate().save(path)
    if not env.get("TRUSTED_KEYS_FILE"):
        added["TRUSTED_KEYS_FILE"] = str(_trust(home / "trusted-keys.json", signing))
    if not env.get("RECEIPT_KEY_FILE"):
        _trust(home / "runner-keys.json", receipts)
        added["RECEIPT_KEY_FILE"] = str(receipts)
    if not env.get("ADMIN_TOKENS"):
        added["ADMIN_TOKENS"] = f"local:{secret(home, 'admin-token')}"
    return added


def _trust(path: Path, key_file: Path) -> Path:
    """Make the trust list of this one key, unless there is one."""
    if not path.exists():
        key = PrivateKey.load(key_file)
        path.write_text(json.dumps([{"kid": key.kid, "public_key": key.public_key, "status": "active"}], indent=1))
    return path


def _write_private(path: Path, text: str) -> None:
    """Replace the file at once, readable by its owner only."""
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
