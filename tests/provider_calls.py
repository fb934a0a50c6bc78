"""A call as a provider receives it, the rule that it meets, and the well-formed answer."""

import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request as received. `time` is Unix time, `monotonic` time.monotonic(), both in seconds."""

    number: int
    time: float
    monotonic: float
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    fault: str | None


@dataclass
class Rule:
    fault: str = "none"
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    probability: float = 1.0
    delay: float = 0.0
    status: int = 503
    retry_after: str | float | None = None
    text: str | None = None
    location: str = "http://127.0.0.1:9/elsewhere"
    hops: int = 1
    region: str = "elsewhere"
    size: int = 10 * 1024 * 1024
    headers: dict[str, str] = field(default_factory=dict)
    refuses: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    interval: float = 0.05
    seconds: float = 3600.0

    def matches(self, call: dict[str, str]) -> bool:
        return all(wanted in call.get(name, "") for name, wanted in self.match.items())


def prompt_of(body: dict[str, Any]) -> str:
    messages = body.get("messages") or [{"content": body.get("prompt", "")}]
    return str(messages[-1].get("content", ""))


def answer_text(call: Call) -> str:
    """Follows from model, prompt and path alone, so that a test can tell which call an answer belongs to."""
    seed = f"{call.path}|{call.body.get('model')}|{prompt_of(call.body)}" if call.body else call.path
    return f"answer {hashlib.sha256(seed.encode()).hexdigest()[:12]}"


def document(call: Call, text: str | None = None, **more: Any) -> dict[str, Any]:
    """The well-formed answer to a call, in its protocol."""
    text = answer_text(call) if text is None else text
    if "/messages" in call.path:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": (call.body or {}).get("model"),
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 11, "output_tokens": 7},
        } | more
    if "/inference" in call.path:
        place = (call.body or {}).get("region_preference")
        return {
            "success": True,
            "response": text,
            "provider_used": "loopback",
            "inference_time": 0.01,
            "cost_estimate": 0.0001,
            "metadata": {"region": place, "model": (call.body or {}).get("model")},
        } | more
    return {
        "model": (call.body or {}).get("model"),
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text} | more}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }
