"""Each way in which the test provider misbehaves, by name."""

import gzip
import json
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.provider_calls import Call, Rule, answer_text, document

if TYPE_CHECKING:
    from tests.provider_server import Handler


def _answer(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.send_json(document(call, rule.text))


def _status(handler: "Handler", call: Call, rule: Rule) -> None:
    headers = rule.headers | ({} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)})
    handler.send_json({"error": {"message": rule.text or f"told to say {rule.status}"}}, rule.status, headers)


def _hang(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.stay_silent(rule.seconds)


def _reset(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def _cut(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _cut_after(handler: "Handler", call: Call, rule: Rule) -> None:
    """Promises to keep the connection and closes it after the answer."""
    handler.send_json(document(call, rule.text))
    _cut(handler, call, rule)


def _cut_body(handler: "Handler", call: Call, rule: Rule) -> None:
    body = json.dumps(document(call)).encode()
    handler.send_bytes(body[: len(body) // 2], length=len(body))
    _cut(handler, call, rule)


def _truncated_json(handler: "Handler", call: Call, rule: Rule) -> None:
    body = json.dumps(document(call)).encode()
    handler.send_bytes(body[: len(body) // 2])


def _redirect_same(handler: "Handler", call: Call, rule: Rule) -> None:
    _hop(handler, call, rule.hops)


def _hop(handler: "Handler", call: Call, hops: int) -> None:
    """A 303 to a result of this server, which redirects again until the hops are used up."""
    protocol = next((name for name in ("inference", "messages") if f"/{name}" in call.path), "completions")
    path = f"/result/{call.number}/{protocol}"
    text = answer_text(call)
    handler.owner.add_rule(first=True, fault="result", match={"path": path}, hops=hops - 1, times=1, text=text)
    handler.send_json({}, 303, {"Location": f"{path}?id=1"})


def _result(handler: "Handler", call: Call, rule: Rule) -> None:
    if rule.hops > 0:
        _hop(handler, call, rule.hops)
    else:
        handler.send_json(document(call, rule.text))


def _redirect_other(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.send_json({}, 303 if rule.status == 503 else rule.status, {"Location": rule.location})


def _empty(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.send_json(document(call, rule.text or " \n"))


def _wrong_region(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.send_json(document(call, metadata={"region": rule.region}))


def _big(handler: "Handler", call: Call, rule: Rule) -> None:
    """Without a length: only counting finds out."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    chunk = b"x" * 65536
    for _ in range(rule.size // len(chunk)):
        handler.wfile.write(b"10000\r\n" + chunk + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def _drip(handler: "Handler", call: Call, rule: Rule) -> None:
    """One byte at a time, head and all."""
    body = json.dumps(document(call)).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for byte in head + body:
        handler.wfile.write(bytes([byte]))
        if handler.released.wait(rule.interval):
            break
    handler.close_connection = True


def _nul(handler: "Handler", call: Call, rule: Rule) -> None:
    """U+0000 and a lone surrogate, escaped as JSON allows."""
    handler.send_json(document(call, rule.text or "before\x00\ud800after"))


def _raw_nul(handler: "Handler", call: Call, rule: Rule) -> None:
    """Bytes that JSON does not allow, `text` in hexadecimal: NUL, and what is not UTF-8."""
    forbidden = bytes.fromhex(rule.text or "00ff")
    handler.send_bytes(json.dumps(document(call, "before MARK after")).encode().replace(b"MARK", forbidden))


def _html(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.send_bytes(b"<html><body><h1>Sign in</h1></body></html>", kind="text/html")


def _refusal(handler: "Handler", call: Call, rule: Rule) -> None:
    text = rule.text or "I can't help with that."
    handler.send_json(document(call, None, content=None, refusal=text))


def _failure(handler: "Handler", call: Call, rule: Rule) -> None:
    """HTTP 200 that carries a failure: the hybrid router's, or OpenRouter's."""
    if "/inference" in call.path:
        handler.send_json({"success": False, "error": "no capacity", "error_code": rule.text or "ROUTER_ERROR"})
    else:
        handler.send_json({"error": {"code": rule.status, "message": "upstream failed"}})


def _raw(handler: "Handler", call: Call, rule: Rule) -> None:
    handler.send_bytes((rule.text or "").encode())


def _body(handler: "Handler", call: Call, rule: Rule) -> None:
    """`text` as the body, with the rule's status and headers."""
    handler.send_bytes((rule.text or "").encode("utf-8", "surrogateescape"), rule.status, rule.headers)


def _gzip(handler: "Handler", call: Call, rule: Rule) -> None:
    """`text`, or the answer, compressed although nobody asked for that."""
    body = (rule.text or json.dumps(document(call))).encode()
    handler.send_bytes(gzip.compress(body), rule.status, {"Content-Encoding": "gzip"})


def _wire(handler: "Handler", call: Call, rule: Rule) -> None:
    """`text` as it goes over the wire, head and all, instead of an answer."""
    handler.wfile.write((rule.text or "").encode("latin-1"))
    handler.close_connection = True


def _strict(handler: "Handler", call: Call, rule: Rule) -> None:
    """Refuses each member of the body in `refuses`, and the role `system` if it is among them; else answers, with
    `more` beside the answer."""
    roles = {message.get("role") for message in call.body.get("messages", [])}
    for name in rule.refuses:
        if name in call.body or name in roles:
            words = f"Unsupported parameter: '{name}' is not supported with this model."
            handler.send_json({"error": {"message": words, "param": name, "code": "unsupported_parameter"}}, 400)
            return
    handler.send_json({**document(call, rule.text), **rule.more}, 200, rule.headers)


FAULTS: dict[str, Callable[["Handler", Call, Rule], None]] = {
    "none": _answer,
    "status": _status,
    "hang": _hang,
    "reset": _reset,
    "cut": _cut,
    "cut_after": _cut_after,
    "cut_body": _cut_body,
    "truncated_json": _truncated_json,
    "redirect_same": _redirect_same,
    "result": _result,
    "redirect_other": _redirect_other,
    "empty": _empty,
    "wrong_region": _wrong_region,
    "big": _big,
    "drip": _drip,
    "nul": _nul,
    "raw_nul": _raw_nul,
    "html": _html,
    "refusal": _refusal,
    "failure": _failure,
    "raw": _raw,
    "body": _body,
    "gzip": _gzip,
    "wire": _wire,
    "strict": _strict,
}
