"""One HTTP request to a stack on this machine, whose answer may not come."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

TRY_SECONDS = 10.0  # the longest one request may take

# The stack is on this machine: no proxy of the environment has a say.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """One HTTP request: its status and document; status 0 when no whole answer came."""
    question = urllib.request.Request(url, data=body, headers=headers or {}, method=method)  # noqa: S310 - loopback
    try:
        with _opener.open(question, timeout=TRY_SECONDS) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            try:
                return error.code, json.load(error)
            except (ValueError, OSError, http.client.HTTPException):
                return error.code, {}
    except (OSError, ValueError, http.client.HTTPException):
        return 0, {}
