"""The API as the commands see it: where it is, what it answers, and its refusals as one sentence."""

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

import httpx2

from runner_cli.exits import CommandError, Exit, UsageError
from runner_cli.shapes import Shape, fits
from runner_cli.target import Target
from runner_core.secret_files import read_secret

T = TypeVar("T")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# A long poll takes up to 20 s by itself.
TIMEOUT = httpx2.Timeout(10.0, read=45.0)
PAUSE_SECONDS = 0.5
# What a proxy says by itself when the API behind it is away.
GATEWAY = (502, 503, 504)


class Unreachable(CommandError):
    """The API can't be reached."""

    code = "unreachable"
    exit = Exit.UNREACHABLE


class Foreign(Unreachable):
    """The answer is not one of a Beacon Runner. `Api.ask` does not repeat the request, because it would not help."""


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
        here = urlsplit(target.url).hostname in LOOPBACK
        try:
            self._client = httpx2.Client(
                base_url=target.url,
                timeout=TIMEOUT,
                headers=headers,
                # No proxy of the environment has a say in what is on this machine.
                trust_env=not here,
                # Reading the system's certificates takes longer than a request that needs none.
                verify=not here or urlsplit(target.url).scheme == "https",
            )
        except (ValueError, ImportError, OSError, httpx2.InvalidURL):  # its text could hold a proxy's password
            raise UsageError(
                f"{target.shown} can't be asked with this environment: check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, "
                "NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
            ) from None

    @classmethod
    def of(cls, args: argparse.Namespace, *, patience: float = 0.0) -> "Api":
        """The API that --url and the environment name, with their token."""
        target = Target.find(args.url)
        token = header_value("BEACON_TOKEN", read_secret(os.environ, "BEACON_TOKEN"))
        if not token and (kept := target.kept("admin-token")):
            token = header_value(str(kept), kept.read_text(errors="replace"))
        return cls(target, token=token, patience=patience)

    @property
    def has_token(self) -> bool:
        return "Authorization" in self._client.headers

    def get(self, path: str, shape: Shape, **query: Any) -> Any:
        """Return the document at `path`, after checking its shape. Raises Unreachable, Refused."""
        return self.ask("GET", path, shape, query=query).body

    def job(self, job_id: str, shape: Shape, rest: str = "", **query: Any) -> Any:
        """Return the document of one job. Raises like get."""
        return self.get(job_path(job_id, rest), shape, **query)

    def ask(
        self,
        method: str,
        path: str,
        shape: Shape,
        *,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send one request for a reply. Raises Unreachable, also for another shape; Refused from status 400 on."""
        return self._patiently(lambda: self._once(method, path, shape, query, body, headers or {}))

    def file(self, path: str, kind: str) -> bytes:
        """Return the file at `path`, whose media type must be `kind`. Raises Unreachable, Refused."""

        def once() -> bytes:
            self.download(path, kind, into := BytesIO())
            return into.getvalue()

        return self._patiently(once)

    def _patiently(self, ask: Callable[[], T]) -> T:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return ask()
            except Foreign:
                raise  # asked again it would be the same
            except Unreachable:
                if time.monotonic() + PAUSE_SECONDS > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)

    def _once(
        self,
        method: str,
        path: str,
        shape: Shape,
        query: dict[str, Any] | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> Reply:
        chosen = {name: value for name, value in (query or {}).items() if value is not None}
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        with self._reaching():
            answer = self._client.request(method, path, params=chosen, content=body, headers=headers)
        etag = answer.headers.get("ETag", "")
        if answer.status_code == 304 and "If-None-Match" in headers:
            return Reply(304, None, etag)
        document = self._document(answer)
        if answer.status_code >= 400:
            raise self._refusal(answer.status_code, document)
        if not fits(document, shape) or not etag.isascii():
            raise self._foreign(answer.status_code, "unexpected JSON")
        return Reply(answer.status_code, document, etag)

    def download(self, path: str, kind: str, into: BinaryIO) -> int:
        """Write the file at `path`, of this media type, into `into` as it comes. Return its number of bytes.

        Raises Unreachable, also for another type and for a file that breaks off; Refused from status 400 on; OSError.
        """
        with self._reaching(), self._client.stream("GET", path) as answer:
            if answer.has_redirect_location:  # the pages lead a reader without a token to their login
                raise Refused(401, "unauthorized", "reading needs a token: set BEACON_TOKEN")
            if answer.status_code >= 400:
                answer.read()
                raise self._refusal(answer.status_code, self._document(answer))
            # Any web server sends a page.
            named = kind != "text/html" or "filename=" in answer.headers.get("Content-Disposition", "")
            if not named or answer.headers.get("Content-Type", "").partition(";")[0] != kind:
                raise self._foreign(answer.status_code, f"not {kind} of a job")
            return sum(into.write(part) for part in answer.iter_bytes())

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Raise Unreachable with a sentence for each way in which a connection fails."""
        where = self.target.shown
        try:
            yield
        except httpx2.ConnectError:
            raise Unreachable(
                f"nothing answers at {where}: start the stack with `beacon up`, "
                "or say where the API is with BEACON_URL or --url"
            ) from None
        except httpx2.TimeoutException:
            raise Unreachable(f"{where} did not answer in time") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # Its class and not its text, which may quote a header.
            raise Unreachable(f"the connection to {where} broke ({type(error).__name__})") from None

    def _document(self, answer: httpx2.Response) -> Any:
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise self._foreign(answer.status_code, "not JSON") from None

    def _refusal(self, status: int, problem: Any) -> CommandError:
        code = problem.get("error_code") if isinstance(problem, dict) else None
        if not isinstance(code, str):
            return self._foreign(status, "an unexpected error document")
        detail = str(problem.get("detail") or problem.get("error") or f"status {status}")
        if status == 503 or code == "request_in_flight":  # an earlier try, or the job's own claim, is under way
            return Unreachable(f"{self.target.shown} is not ready: {detail}")
        return Refused(status, code, detail.rstrip("."))

    def _foreign(self, status: int, answered: str) -> Unreachable:
        said = f"{self.target.shown} does not answer like a Beacon Runner API ({status}, {answered})"
        if status in GATEWAY:
            return Unreachable(f"{said}: a proxy in front of the API can't reach the API")
        return Foreign(f"{said}: check BEACON_URL or --url")


def header_value(name: str, text: str) -> str:
    """`text` without the spaces and line ends around it. Raises UsageError, which does not repeat it, where no header
    can carry it."""
    value = text.strip()
    if not re.fullmatch(r"[\x20-\x7e]*", value):
        raise UsageError(f"{name} has characters that no HTTP header can carry: only printable ASCII can be sent")
    return value


def job_path(job_id: str, rest: str = "", under: str = "/api/v1") -> str:
    """`/api/v1/jobs/<id>` with what follows; pages and files stand under "". Raises UsageError for an impossible id."""
    if not job_id:
        raise UsageError("the job's id is empty")
    if job_id in (".", ".."):  # a step in a path, which every client takes out before it asks
        raise UsageError(f"{job_id} can't be a job's id")
    return f"{under}/jobs/{quote(job_id, safe='', errors='surrogateescape')}{rest}"


def as_argument(job_id: str) -> str:
    """A job's id as it is written in a command: behind two dashes where it begins with one."""
    return f"-- {job_id}" if job_id.startswith("-") else job_id
