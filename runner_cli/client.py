"""The API as the commands see it: where it is, what it answers, and its refusals as one sentence."""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from runner_cli.exits import CommandError, Exit, UsageError
from runner_cli.home import default_home, running

DEFAULT_URL = "http://127.0.0.1:8090"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# A long poll takes up to 20 s by itself.
TIMEOUT = httpx2.Timeout(10.0, read=45.0)
PAUSE_SECONDS = 0.5


class Unreachable(CommandError):
    """The API can't be reached."""

    code = "unreachable"
    exit = Exit.UNREACHABLE


class Refused(CommandError):
    """The API refused the request."""

    exit = Exit.REFUSED

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status, self.code = status, code
        super().__init__(f"{detail} ({code})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--url and --json, which every command that talks to the API has."""
    parser.add_argument("--url", help="the API [BEACON_URL, else this machine's]")
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


@dataclass(frozen=True)
class Target:
    """Where the API is. `home` is the folder of the local stack that serves it, None for an API elsewhere."""

    url: str
    home: Path | None

    @classmethod
    def find(cls, url: str | None) -> "Target":
        """--url, BEACON_URL, the stack that runs from this checkout's home, or port 8090 of this machine."""
        home = default_home()
        local = str(running(home).get("api_url") or "")
        url = (url or os.environ.get("BEACON_URL") or local or DEFAULT_URL).rstrip("/")
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise UsageError(f"{url!r} is not the URL of an API: it looks like {DEFAULT_URL}")
        return cls(url, home if url == local else None)

    def kept(self, name: str) -> Path | None:
        """A file that the local stack keeps in its home, if it is there."""
        path = self.home / name if self.home else None
        return path if path and path.exists() else None


@dataclass(frozen=True)
class Reply:
    """An answer: the status, the document (None for 304), the ETag."""

    status: int
    body: Any
    etag: str


class Api:
    """One API. `patience` is for how many seconds an API that does not answer, or says 503, is asked again."""

    def __init__(self, target: Target, *, token: str | None = None, patience: float = 0.0) -> None:
        self.target, self.patience = target, patience
        headers = {"User-Agent": "beacon-cli"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx2.Client(
            base_url=target.url,
            timeout=TIMEOUT,
            headers=headers,
            # No proxy of the environment has a say in what is on this machine.
            trust_env=urlsplit(target.url).hostname not in LOOPBACK,
        )

    @classmethod
    def of(cls, args: argparse.Namespace, *, patience: float = 0.0) -> "Api":
        """The API that --url and the environment name, with their token."""
        target = Target.find(args.url)
        token = os.environ.get("BEACON_TOKEN")
        if not token and (kept := target.kept("admin-token")):
            token = kept.read_text().strip()
        return cls(target, token=token, patience=patience)

    @property
    def has_token(self) -> bool:
        return "Authorization" in self._client.headers

    def get(self, path: str, **query: Any) -> Any:
        """The document at `path`. Raises Unreachable, Refused."""
        return self.ask("GET", path, query=query).body

    def job(self, job_id: str, rest: str = "", **query: Any) -> Any:
        """The document of one job. Raises like get."""
        return self.get(job_path(job_id, rest), **query)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send one request. Raises Unreachable, or Refused for a status of 400 and above."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self._once(method, path, query, body, headers)
            except Unreachable:
                if time.monotonic() + PAUSE_SECONDS > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)

    def _once(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        body: bytes | None,
        headers: dict[str, str] | None,
    ) -> Reply:
        chosen = {name: value for name, value in (query or {}).items() if value is not None}
        if body is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
        try:
            answer = self._client.request(method, path, params=chosen, content=body, headers=headers)
        except httpx2.ConnectError:
            raise Unreachable(
                f"nothing answers at {self.target.url}: start the stack with `beacon up`, "
                "or say where the API is with BEACON_URL or --url"
            ) from None
        except httpx2.TimeoutException:
            raise Unreachable(f"{self.target.url} did not answer in time") from None
        except httpx2.TransportError as error:
            raise Unreachable(f"the connection to {self.target.url} broke ({type(error).__name__})") from None
        if answer.status_code == 304:
            return Reply(304, None, answer.headers.get("ETag", ""))
        try:
            document = answer.json()
        except ValueError:
            raise Unreachable(
                f"{self.target.url} does not speak like a Beacon Runner ({answer.status_code}, no JSON)"
            ) from None
        if answer.status_code >= 400:
            problem = document if isinstance(document, dict) else {}
            detail = str(problem.get("detail") or problem.get("error") or f"status {answer.status_code}")
            if answer.status_code == 503:
                raise Unreachable(f"{self.target.url} is not ready: {detail}")
            raise Refused(answer.status_code, str(problem.get("error_code") or answer.status_code), detail.rstrip("."))
        return Reply(answer.status_code, document, answer.headers.get("ETag", ""))


def job_path(job_id: str, rest: str = "") -> str:
    """`/api/v1/jobs/<id>` with what follows. Raises UsageError for an empty id."""
    if not job_id:
        raise UsageError("the job's id is empty")
    return f"/api/v1/jobs/{quote(job_id, safe='')}{rest}"
