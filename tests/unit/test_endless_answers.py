"""Answers of the largest size that are made to cost time: each is read in a time that grows with its size alone."""

from typing import Any

import pytest

from runner_worker.providers.failures import TryFailed
from runner_worker.providers.openai import read
from runner_worker.providers.received import received
from runner_worker.providers.response import LARGEST_ANSWER, Response

SIZE = LARGEST_ANSWER
SECRETS = ("sk-0123456789",)


def repeated(text: str) -> str:
    return text * (SIZE // len(text))


CONTENTS: dict[str, Any] = {
    "empty thoughts": repeated("<think></think>"),
    "thoughts": "".join(f"<think>{n}</think>" for n in range(SIZE // 20)),
    "opening tags": repeated("<think>"),
    "closing tags": repeated("</think>"),
    "parts of thoughts": [{"type": "thinking", "thinking": str(n)} for n in range(SIZE // 40)],
    "refusals": [{"type": "refusal", "refusal": str(n)} for n in range(SIZE // 40)],
    "other parts": [{"type": str(n)} for n in range(SIZE // 20)],
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_contents(content: Any) -> None:
    document = {"choices": [{"finish_reason": "content_filter", "message": {"content": content}}]}
    assert read(document, {}).filter == "output"


BODIES = {
    "colons": ":" * SIZE,
    "comments": repeated(":\n"),
    "titles": repeated("<title"),
    "titles' ends": repeated("<title>"),
    "blanks": " " * SIZE,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies(body: str, status: int) -> None:
    with pytest.raises(TryFailed) as caught:
        received(Response(status, body.encode(), {}), SECRETS, SECRETS)
    assert caught.value.code in ("malformed_answer", "http_502")
