"""Where the API is that a command asks."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from runner_cli.exits import UsageError
from runner_cli.home import default_home, running
from runner_core.addresses import API_HOST, API_PORT

DEFAULT_URL = f"http://{API_HOST}:{API_PORT}"


@dataclass(frozen=True)
class Target:
    """Where the API is. `home` is the folder of the local stack that serves it, None for an API elsewhere."""

    url: str
    home: Path | None

    @classmethod
    def find(cls, url: str | None) -> "Target":
        """--url, BEACON_URL, the stack that runs from this checkout's home, or the default port of this machine."""
        home = default_home()
        local = str(running(home).get("api_url") or "")
        url = (url or os.environ.get("BEACON_URL") or local or DEFAULT_URL).strip().rstrip("/")
        target = cls(url, home if url == local else None)
        if not _is_address(url):
            raise UsageError(f"{target.shown!r} is not the URL of an API: it looks like {DEFAULT_URL}")
        return target

    @property
    def shown(self) -> str:
        """The URL for messages: without the user and the password that it may have."""
        return re.sub(r"(?<=//)[^/?#]*@", "", self.url)

    def kept(self, name: str) -> Path | None:
        """A file that the local stack keeps in its home, if it is there."""
        path = self.home / name if self.home else None
        return path if path and path.exists() else None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(httpx2.URL(url).host.encode("idna")) and parts.port != 0
    except (ValueError, httpx2.InvalidURL):  # a port that is no number, brackets without an end, an odd name
        return False
