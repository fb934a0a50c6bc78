"""The client: it sends a request to the API behind the taps, and repeats it at another API until it is answered."""

import time
from typing import Any

from bench.crash.lane import Lane, in_background
from bench.crash.states import HEADERS
from bench.crash.verb import Request, Story
from tests.http_requests import request

MOST_TRIES = 40
PAUSE_SECONDS = 0.05


def send(
    lane: Lane,
    story: Story,
    path: str,
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    method: str = "POST",
) -> Request:
    """Send a request to `story.facts["url"]` in a thread. While the outcome is unknown, repeat it at the other API."""
    asked = Request(path, body, headers or HEADERS, method)
    story.requests.append(asked)
    first = story.facts["url"]

    def client() -> None:
        for where in (first, *[lane.url] * MOST_TRIES):
            code, answer = ask(where, asked)
            asked.answers.append(("victim" if where == first else "other", code, answer))
            if code and code < 500 and (answer or {}).get("error_code") != "request_in_flight":
                break
            time.sleep(PAUSE_SECONDS)
        asked.told.set()

    in_background(client)
    return asked


def ask(url: str, asked: Request) -> tuple[int, Any]:
    """Send a request once."""
    body = asked.body if asked.method == "POST" else None
    return request(asked.method, f"{url}{asked.path}", body, asked.headers)


def wrongs(lane: Lane, story: Story) -> list[str]:
    """Check that each accepted submission has its job, and that each client's last answer is a final one."""
    found = []
    for asked in story.requests:
        where, code, answer = asked.answers[-1]
        for _, each, document in asked.answers:
            name = (document or {}).get("job_id")
            if each in (200, 202) and name and not lane.one("SELECT count(*) FROM jobs WHERE id = %s", name):
                found.append(f"{asked.path}: {each} names {name}, which is unknown")
        if not 200 <= code < 500:
            found.append(f"{asked.path}: the last answer, of the {where} API, is {code}")
        if asked.path == "/api/v1/jobs":
            found += _repeat(lane, asked, code, answer)
    return found


def _repeat(lane: Lane, asked: Request, code: int, answer: Any) -> list[str]:
    """Check that a repeated submission gets the same job, or the same refusal."""
    again, document = ask(lane.url, asked)
    if code in (200, 202):
        if again != 200 or document.get("job_id") != answer.get("job_id"):
            return [f"it was accepted as {answer.get('job_id')}, and its repeat is told {again} {document}"]
    elif (again, document.get("error_code")) != (code, answer.get("error_code")):
        return [f"it was refused with {code} {answer.get('error_code')}, its repeat with {again} {document}"]
    return []
