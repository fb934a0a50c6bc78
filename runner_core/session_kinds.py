"""How each kind of process talks to PostgreSQL."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """How a kind of process talks to PostgreSQL, besides the limits that all have.

    `lock_wait_ms` is how long a statement may wait for a row, 0 for as long as it may take. `by_key`: every statement
    finds its rows by key, and is planned once a session. `patient`: whoever fails for the server's sake comes again for
    as long as it takes; else somebody waits for an answer, and gets a 503 soon.
    """

    lock_wait_ms: int = 0
    by_key: bool = False
    patient: bool = True


# A second request with the id or the key of one that is being accepted is told to come again after two seconds.
SESSIONS = {
    "api": Session(lock_wait_ms=2000, patient=False),
    "publisher": Session(by_key=True),
    "worker": Session(by_key=True),
}
