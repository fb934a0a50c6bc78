"""An HTTP service that answers what a test tells it to, and the answers of a Beacon Runner with one job."""

import http.server
import json
import threading
from typing import Any

ROW = {
    "region": "US", "model_id": "m", "status": "completed", "question_id": "q", "execution_id": 1, "id": 1,
    "duration_ms": 20, "retry_count": 0, "has_receipt": False, "error": None, "error_detail": None,
    "output": {"response": "4", "refused": False}, "completed_at": "2026-01-01T00:00:01Z",
}  # fmt: skip
JOB = {
    "id": "j", "status": "completed", "version": 3, "created_at": "2026-01-01T00:00:00Z",
    "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:00:02Z",
    "job": {"questions": ["q"], "models": [{"id": "m"}], "metadata": {"models": ["m"]}},
    "progress": {"total": 1, "completed": 1, "failed": 0, "answers": {"done": 1, "total": 1}},
    "cross_region": {"status": "partial", "success_count": 1, "total_regions": 2, "duration_ms": 1900},
    "waiting": [{"subject": "http_401", "text": "m in US: no", "remedy": ""}],
    "executions": [ROW, ROW | {"status": "failed", "region": "EU", "output": None, "error": "no",
                               "error_detail": {"code": "http_401"}}],
}  # fmt: skip
EVENTS = {"events": [{"seq": 1, "type": "submitted", "region": None, "actor": "a", "at": JOB["created_at"]}]}
PAGE = {"jobs": [{key: JOB[key] for key in ("id", "status", "created_at")} | {"regions": ["US"], "models": ["m"]}]}
ACCEPTED = {"job_id": "j", "idempotent": False, "cross_region_execution_id": "u"}
# What each command asks for, by the end of the path.
ANSWERS: dict[str, Any] = {
    "/jobs": PAGE,
    "/jobs/j": JOB,
    "/events": EVENTS,
    "POST /jobs": ACCEPTED | {"ignored": ["temperature"]},
    "/cancel": {"job_id": "j", "previous_status": "queued", "executions_cancelled": 1},
    "/retry": {"retried": [{"region": "US", "model_id": "m"}]},
    "/models": {"models": [{"id": "m", "regions": ["US"], "default": True}]},
    "/questions": {"questions": [{"id": "q"}]},
}


class Service:
    """An HTTP service that answers what it is told to."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}  # bytes are a CSV file, all else is JSON
        self.fallback: tuple[int, bytes] = (404, b"{}")
        self.seen: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet

            def answer(self) -> None:
                owner.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                owner.seen.append(dict(self.headers))
                owner.paths.append(self.path)
                path = self.path.partition("?")[0]
                name = "POST /jobs" if self.command == "POST" and path.endswith("/jobs") else path
                ends = sorted((end for end in owner.answers if name.endswith(end)), key=len)
                told = owner.answers[ends[-1]] if ends else None
                body = told if isinstance(told, bytes) else json.dumps(told).encode()
                status, body = (200, body) if ends else owner.fallback
                self.send_response(status)
                if isinstance(told, bytes):  # a file
                    self.send_header("Content-Type", "text/csv; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
