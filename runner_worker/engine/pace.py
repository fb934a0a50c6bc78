"""How fast claims and calls go, and so how far ahead of its threads a worker may claim."""

MOST_AHEAD = 2  # claims of full size


class Pace:
    """Means that forget: each value counts a tenth. Until it knows better it takes calls for long ones."""

    def __init__(self, concurrency: int, claim_batch: int) -> None:
        self._concurrency = concurrency
        self._most = MOST_AHEAD * claim_batch
        self._claim_seconds, self._call_seconds = 0.0, 60.0

    def claimed(self, seconds: float) -> None:
        """A claim took so long."""
        self._claim_seconds += (seconds - self._claim_seconds) / 10

    def called(self, seconds: float) -> None:
        """A call took so long, with all its tries."""
        self._call_seconds += (seconds - self._call_seconds) / 10

    def ahead(self) -> int:
        """How many calls end while a claim is made: none of seconds, whose regions another worker had better take.

        So many are claimed and started besides those that there are threads for; each waits for milliseconds.
        """
        return int(min(self._concurrency * self._claim_seconds / max(self._call_seconds, 1e-6), self._most))
