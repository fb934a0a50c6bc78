"""The session settings of each kind of process."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """The session settings of a kind of process, besides the limits that all kinds share.

    `lock_wait_ms`: lock_timeout, 0 for none. `by_key`: every statement finds its rows by key, so sequential scans are
    off and plans are generic. `patient`: after a failure of the server the process tries again without a limit; other
    kinds fail soon, because a client waits for the answer (503).
    """

    lock_wait_ms: int = 0
    by_key: bool = False
    patient: bool = True


# The API waits at most two seconds for a lock: a request with the id or the key of a job that is just being accepted
# then gets an answer that asks the client to retry.
SESSIONS = {
    "api": Session(lock_wait_ms=2000, patient=False),
    "publisher": Session(by_key=True),
    "worker": Session(by_key=True),
    "analyst": Session(by_key=True),
}
