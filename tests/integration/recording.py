"""An engine that only writes down what it is given, for tests of how messages reach the real one.

It speaks to the test through Redis lists: `submitted` gets every batch, `released` takes an outcome for each run that
is to end (`hold` must exist, else they end at once) in whichever process, `released PID` in that one, `drained` the
grace it was given. While `refuse` exists it takes no batch, and counts them in `refused`.
"""

import json
import os
import threading
from collections.abc import Callable

import redis

from runner_worker.engine import Message

Done = Callable[[Message, str], None]


class RecordingRunner:
    broken = False

    def __init__(self, url: str, room: int = 8) -> None:
        self.redis = redis.Redis.from_url(url)
        self.room = room
        self.lock = threading.Lock()
        self.held: list[tuple[Message, Done]] = []
        threading.Thread(target=self._release, daemon=True).start()

    def is_late(self) -> bool:
        return False

    def free(self) -> int:
        return self.room - self.busy()

    def busy(self) -> int:
        return len(self.held)

    def submit(self, messages: list[Message], done: Done, progressed: Callable[[], None] = lambda: None) -> None:
        if self.redis.get("refuse"):
            self.redis.incr("refused")
            raise RuntimeError("the claim failed")
        hold = self.redis.exists("hold")
        with self.lock:
            self.held += [(message, done) for message in messages]
        batch = [[m.job_id, m.region, m.request_id, m.dispatch_id] for m in messages]
        self.redis.rpush("submitted", json.dumps({"pid": os.getpid(), "batch": batch}))
        if not hold:
            threading.Thread(target=self._end_all, args=("finished",)).start()

    def drain(self, grace_seconds: float) -> None:
        self.redis.rpush("drained", grace_seconds)
        if self.held:
            self.redis.blpop("let go", timeout=grace_seconds)
        self._end_all("released")

    def _release(self) -> None:
        while True:
            try:
                popped = self.redis.blpop(["released", f"released {os.getpid()}"], timeout=1)
            except redis.exceptions.RedisError:
                continue
            if popped is not None:
                with self.lock:
                    message, done = self.held.pop(0)
                done(message, popped[1].decode())

    def _end_all(self, outcome: str) -> None:
        with self.lock:
            ended, self.held = self.held, []
        for message, done in ended:
            done(message, outcome)
