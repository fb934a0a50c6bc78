"""Submits signed jobs at a steady rate, repeats unanswered ones, and has its own list of the accepted jobs."""

import itertools
import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.http_requests import request
from tests.loopback_regions import MODELS, REGIONS

NANOSECONDS = 1_000_000_000


@dataclass
class Submission:
    """The client's record of one job. Times are Unix seconds."""

    number: int
    regions: list[str]
    models: list[str]
    questions: list[str]
    raw: bytes
    began: float = field(default_factory=time.time)
    accepted: float | None = None
    tries: int = 0
    ids: set[str] = field(default_factory=set)  # every job id that an answer named
    refusal: str = ""

    @property
    def key(self) -> str:
        """Return its Idempotency-Key, which is also the job's name in the logs and in the database."""
        return f"chaos-{self.number:06d}"

    @property
    def cells(self) -> list[tuple[str, str, str]]:
        """Return every (region, model, question) of the job."""
        return list(itertools.product(self.regions, self.models, self.questions))


class Client:
    """`submissions` has every job that was sent. The jobs follow from `seed` alone. Half of them have no id: the API
    chooses one."""

    def __init__(
        self, url: str, key: PrivateKey, seed: int, *, timeout_seconds: float, patience_seconds: float
    ) -> None:
        self.urls = [url]  # each request goes to one of these APIs
        self.answered: Counter[str] = Counter()  # accepted submissions by API
        self.submissions: list[Submission] = []
        self._key = key
        self._random = random.Random(f"jobs {seed}")
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds  # how long a submission without an answer is repeated
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._paused = threading.Event()
        self._abandoned = threading.Event()
        self._senders = ThreadPoolExecutor(64, thread_name_prefix="client")
        self._thread: threading.Thread | None = None

    def start(self, jobs_per_second: float) -> None:
        """Start to submit in a thread of its own."""

        def work() -> None:
            due = time.monotonic()
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                due += 1 / jobs_per_second
                if not self._paused.is_set():
                    self.submit(1)

        self._thread = threading.Thread(target=work, name="client", daemon=True)
        self._thread.start()

    def submit(self, count: int) -> None:
        """Send `count` jobs at once. Return before they have answers."""
        for _ in range(count):
            with self._lock:
                submission = self._make(len(self.submissions) + 1)
                self.submissions.append(submission)
            self._senders.submit(self._send, submission)

    def pause(self) -> None:
        """Stop the steady submissions until `resume`. Wait until every submission has its answer."""
        self._paused.set()
        over = time.time() + self._patience_seconds
        while time.time() < over and any(s.accepted is None and not s.refusal for s in self.submissions):
            time.sleep(0.05)

    def resume(self) -> None:
        """Continue the steady submissions."""
        self._paused.clear()

    def finish(self) -> None:
        """Submit nothing more. Wait until every submission has its answer or is given up."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        self._senders.shutdown(wait=True)

    def abandon(self) -> None:
        """Stop at once, without waiting for answers."""
        self._stopped.set()
        self._abandoned.set()
        self._senders.shutdown(wait=False, cancel_futures=True)

    def accepted(self) -> list[Submission]:
        """Return the submissions that were answered with 202, or with 200 to a repeat."""
        return [submission for submission in self.submissions if submission.accepted is not None]

    def _make(self, number: int) -> Submission:
        regions = self._random.sample(REGIONS, self._random.choice((1, 2, 3, 3)))
        models = list(MODELS[: self._random.choice((1, 2))])
        name = f"chaos-{number:06d}"
        questions = [f"{name} question {n}?" for n in range(1, self._random.choice((1, 2)) + 1)]
        spec: dict[str, Any] = {
            "version": "v1",
            "benchmark": {
                "name": "chaos",
                "container": {"image": "none"},
                "input": {"hash": "sha256:placeholder"},
            },
            "constraints": {
                "regions": regions,
                "timeout": int(self._timeout_seconds * NANOSECONDS),
                "provider_timeout": int(self._timeout_seconds / 2 * NANOSECONDS),
            },
            "questions": questions,
            "models": models,
            "metadata": {"timestamp": datetime.now(UTC).isoformat(), "nonce": name, "created_by": name},
        }
        if number % 2:
            spec["id"] = name
        return Submission(number, regions, models, questions, json.dumps(sign(spec, self._key)).encode())

    def _send(self, submission: Submission) -> None:
        pause = random.Random(submission.number)
        while not self._abandoned.is_set():
            submission.tries += 1
            headers = {
                "Content-Type": "application/json",
                "Idempotency-Key": submission.key,
                "X-Request-ID": submission.key,
            }
            url = pause.choice(self.urls)
            status, answer = request("POST", f"{url}/api/v1/jobs", submission.raw, headers)
            if status in (200, 202):
                self.answered[url] += 1
                submission.ids.add(answer["job_id"])
                submission.accepted = time.time()
                return
            busy = status == 0 or status >= 500 or answer.get("error_code") == "request_in_flight"
            if not busy:
                submission.refusal = f"{status} {answer.get('error_code')}"
                return
            if time.time() > submission.began + self._patience_seconds:
                return
            time.sleep(pause.uniform(0.1, 1.0))
