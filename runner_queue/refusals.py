"""The one table of Redis' error replies: what each kind concerns, and after which time a connection is closed.

docs/errors.md shows the table. One test compares the two; another causes each row on a real server.
"""

from dataclasses import dataclass

from runner_core.failures import Concern


@dataclass(frozen=True)
class Refusal:
    """One kind of error reply of Redis, identified by its first word.

    A connection is closed if its server has refused commands for `hang_up_after` seconds, so that the next connection
    may reach another server. None: the same server may accept the command later. A failed push counts as an attempt of
    the message only if the reply `concerns` a `row`.
    """

    word: str
    name: str
    hang_up_after: float | None
    concerns: Concern = "server"


HUNG_UP = Refusal("hung up", "the server closes the connection or does not answer", 0.0)
REFUSALS = (
    HUNG_UP,
    Refusal("READONLY", "the server is a replica", 0.0),
    Refusal("UNBLOCKED", "the server became a replica while a command waited", 0.0),
    Refusal("MASTERDOWN", "the server is a replica without its primary", 0.0),
    Refusal("LOADING", "the server is loading its data", 0.0),
    Refusal("MISCONF", "the server can't save its data", 10.0),
    Refusal("OOM", "the server's memory is full", None),
    Refusal("NOPERM", "the login may not do this", None),
    Refusal("WRONGTYPE", "the key holds a value of another type", None, "row"),
)
OTHER_REFUSAL = Refusal("", "anything else", None)
_BY_WORD = {refusal.word: refusal for refusal in REFUSALS}


def refusal_of(reply: str) -> Refusal:
    """Return the row of an error reply's text."""
    return _BY_WORD.get(reply.partition(" ")[0], OTHER_REFUSAL)
