"""The one table of Redis' error replies: what each kind of them concerns, and when a connection is closed for it.

docs/errors.md shows the table; a test compares the two, and another causes each row on a real server.
"""

from dataclasses import dataclass

from runner_core.failures import Concern


@dataclass(frozen=True)
class Refusal:
    """One kind of a Redis server's error replies, by its first word.

    The connection is closed when the server has refused commands for `hang_up_after` seconds, so that the next
    connection reaches another server where there is one; None: the same server may take the command later. Only a
    reply that `concerns` a `row` is counted against its message.
    """

    word: str
    name: str
    hang_up_after: float | None
    concerns: Concern = "server"


HUNG_UP = Refusal("hung up", "the server hangs up or does not answer", 0.0)
REFUSALS = (
    HUNG_UP,
    Refusal("READONLY", "the server is a replica", 0.0),
    Refusal("UNBLOCKED", "the server became a replica while a command waited", 0.0),
    Refusal("MASTERDOWN", "the server is a replica without its primary", 0.0),
    Refusal("LOADING", "the server reads its data", 0.0),
    Refusal("MISCONF", "the server can't save its data", 10.0),
    Refusal("OOM", "the server's memory is full", None),
    Refusal("NOPERM", "the login may not do this", None),
    Refusal("WRONGTYPE", "the key holds something else", None, "row"),
)
OTHER_REFUSAL = Refusal("", "anything else", None)
_BY_WORD = {refusal.word: refusal for refusal in REFUSALS}


def refusal_of(reply: str) -> Refusal:
    """Return the row of an error reply's text."""
    return _BY_WORD.get(reply.partition(" ")[0], OTHER_REFUSAL)
