"""Names the statements of sql/queries that a point must reach, and the exceptions, each with a reason."""

import re
from collections.abc import Iterable
from importlib import resources

NAME = re.compile(r"^-- name: (\S+)(?: -- writes)?$", re.MULTILINE)
# Matches the text of a statement that changes data, locks rows, or calls a function that changes data.
CHANGES = re.compile(
    r"\b(INSERT INTO|UPDATE \w+|DELETE FROM|CREATE TABLE|FOR (NO KEY )?UPDATE|FOR (KEY )?SHARE|pg_\w*advisory\w*|"
    r"close_jobs|close_regions|cancel_units|end_units|reopen_units|label_judged|fill_jobs)\b"
)

READS = ("reads.", "portal.", "lists.")  # all alike: the verb "a read" cuts one of them
GAUGES = "it reads for the publisher's gauges, in a transaction of its own that changes nothing"
# Statements that write, lock or run in a verb's transaction, and that no point needs to cut.
EXCEPTIONS = {
    "sessions.end": "a logout of the portal: no job depends on it, and a user who is still logged in logs out again",
    "sessions.ended": "it is read before each page; no verb's transaction",
    "metrics.outbox": GAUGES,
    "metrics.jobs": GAUGES,
    "metrics.late": GAUGES,
    "metrics.regions": GAUGES,
    "processes.other_regions_file": GAUGES,
    "processes.read": "it reads back what the readiness probe has written",
    "migrations.backend": "it reads before a migration outside a transaction; a cut there changes nothing",
    "readiness.grow": "the readiness probe rolls it back",
    "processes.beat": "it tells that a process lives; the next one comes within five seconds",
    "sweep.fill": "it writes what lists show, which no promise rests on; a pass that was cut is repeated",
    "processes.leave": "what it would remove, retention removes; retention is cut",
    **dict.fromkeys(
        map("judgements.{}".format, ("lock", "begin", "give_up", "take", "end", "failed", "label")),
        "no job depends on a judge, which is off by default; a test kills a worker at each of the judge's steps",
    ),
}


def statements() -> dict[str, str]:
    """Return the text of every statement of sql/queries by its name."""
    found = {}
    for file in resources.files("sql").joinpath("queries").iterdir():
        text = file.read_text("utf-8")
        starts = list(NAME.finditer(text))
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            found[start[1]] = text[start.end() : end.start() if end else None]
    return found


def changes(text: str) -> bool:
    """Return whether a statement writes or locks."""
    return bool(CHANGES.search(re.sub(r"--.*", "", text)))


def required(seen: Iterable[str] = ()) -> set[str]:
    """Return the statements that a point must reach: those that write or lock, and those `seen` in a transaction."""
    known = statements()
    seen = {name for name in seen if not name.startswith(READS)}
    return ({name for name, text in known.items() if changes(text)} | set(seen) & set(known)) - set(EXCEPTIONS)
