"""Decides whether a failed try of a call is followed by another one, and after which rest."""

import random
import time
from typing import Any

from runner_worker.providers.failures import TryFailed

BACKOFF_CAP = 20.0  # seconds
REST_CAP = 60.0  # seconds: the longest rest that a provider is given because it asked for it


class Retries:
    """The rules of further tries. `max_tries`: of one call; `backoff_seconds`: the longest rest after the first."""

    def __init__(self, max_tries: int, backoff_seconds: float) -> None:
        self._max_tries = max_tries
        self._backoff_seconds = backoff_seconds

    def rest(self, failed: TryFailed, errors: list[dict[str, Any]], deadline: float) -> float | None:
        """Return the seconds until the next try, or None for no further try: exponential backoff with full jitter.

        `errors`: of the earlier tries; `deadline`: of all tries, in seconds of time.monotonic(). A rest that the
        provider asks for and that ends after the deadline ends the call at once; else it is obeyed up to REST_CAP. In
        both cases the failure tells what was asked for. Source of the backoff: M. Brooker, "Exponential Backoff And
        Jitter", AWS Architecture Blog, 2015.
        """
        asked_for = failed.retry_after or 0.0
        if asked_for > REST_CAP:
            failed.rest_told = f"It asks for a rest of {asked_for:.15g} s."
        tried = len(errors) + 1
        alike = sum(error["code"] == failed.code for error in errors) + 1
        tries = failed.fault.tries
        if tries is not None and alike >= tries:
            # An answer malformed twice will be malformed again.
            failed.transient = failed.transient and failed.code != "malformed_answer"
            return None
        if not failed.transient or tried >= self._max_tries:
            return None
        if time.monotonic() + asked_for >= deadline:
            failed.rest_told = f"It asks for a rest of {asked_for:.15g} s, which ends after the deadline."
            return None
        if asked_for > REST_CAP:
            failed.rest_told = f"It asks for a rest of {asked_for:.15g} s; the next try comes after {REST_CAP:.0f} s."
        rest = random.uniform(0, min(BACKOFF_CAP, self._backoff_seconds * 2 ** (tried - 1)))  # noqa: S311 - not a secret
        rest = max(rest, min(asked_for, REST_CAP))
        return rest if time.monotonic() + rest < deadline else None
