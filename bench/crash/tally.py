"""Checks, after each crash point, that no promise was broken; finds how the job ended and which calls were repeated."""

from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from typing import Literal, cast

from bench.crash import client
from bench.crash.environment import SETTINGS
from bench.crash.lane import Lane, until
from bench.crash.point import Way
from bench.crash.verb import Story, Verb
from tests.provider_calls import prompt_of

Ending = Literal["unnoticed", "in place", "taken over", "by the client", "swept", "fenced"]
ENDINGS: tuple[Ending, ...] = ("unnoticed", "in place", "taken over", "by the client", "swept", "fenced")
INVARIANTS = {
    f"I{number}": resources.files("sql").joinpath(f"verify/I{number}.sql").read_text("utf-8") for number in range(1, 8)
}
Cell = tuple[str, str, str]  # a job, a region and a question

UNITS = """
SELECT j.id, p.region, m.model_id, count(e.id) AS results
  FROM jobs j CROSS JOIN LATERAL jsonb_each(j.plan) AS p (region, models)
 CROSS JOIN LATERAL jsonb_array_elements_text(p.models) AS m (model_id)
  LEFT JOIN executions e ON e.job_id = j.id AND e.region = p.region AND e.model_id = m.model_id
 GROUP BY 1, 2, 3 HAVING count(e.id) <> 1"""
CELLS = """
SELECT j.id, j.request_id, p.region, q.question ->> 'id' AS question_id, q.question ->> 'text' AS text, a.status,
       a.output ->> 'response' AS response, t.tries, e.status AS result
  FROM jobs j CROSS JOIN LATERAL jsonb_each(j.plan) AS p (region, models)
 CROSS JOIN LATERAL jsonb_array_elements(j.questions) AS q (question)
  LEFT JOIN executions e ON e.job_id = j.id AND e.region = p.region
  LEFT JOIN answers a ON a.job_id = j.id AND a.region = p.region AND a.question_id = q.question ->> 'id'
 CROSS JOIN LATERAL (SELECT count(*) AS tries FROM tries x WHERE x.job_id = j.id AND x.region = p.region
                        AND x.question_id = q.question ->> 'id') AS t"""
SESSIONS = """
SELECT concat(pid, xact_start) AS session, application_name, state, query FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend'"""
HELD_SECONDS = 10.0


@dataclass
class Tally:
    """The counts of one point. `wrong` has a sentence for each broken promise."""

    ending: Ending = "unnoticed"
    wrong: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    repeated: int = 0  # calls beyond the first that a provider answered for one question
    uncalled: int = 0  # tries with a row and without a request


def check(lane: Lane, story: Story, verb: Verb, protocol: str, way: Way) -> Tally:
    """Compare the stored rows with the promises. Ends the victims and the other processes."""
    tally = Tally()
    for name, query in INVARIANTS.items():
        found = [row["broken"] for row in lane.conn.execute(query.encode(), _parameters(lane)) if row["broken"]]
        tally.wrong += [f"{name}: {sentence}" for sentence in found]
    tally.wrong += client.wrongs(lane, story)
    tally.wrong += verb.check(lane, story) if verb.check else ()
    _results(lane, tally)
    _calls(lane, tally, protocol, way, story)
    tally.ending = _ending(lane, story, way)
    _held(lane, tally)
    return tally


def _parameters(lane: Lane) -> dict[str, object]:
    keys = [key for key in lane.redis.scan_iter("rq:queue:*") if lane.redis.type(key) == b"list"]
    queued = [name.decode() for key in keys for name in cast(list[bytes], lane.redis.lrange(key, 0, -1))]
    return {"lease_seconds": float(SETTINGS["LEASE_SECONDS"]), "max_attempts": 3, "retention_days": 8, "queued": queued}


def _results(lane: Lane, tally: Tally) -> None:
    """Check that each planned unit has one result."""
    for row in lane.ask(UNITS):
        tally.wrong.append(f"{row['id']} {row['region']} {row['model_id']} has {row['results']} results")
        tally.lost += row["results"] == 0
        tally.doubled += row["results"] > 1


def _calls(lane: Lane, tally: Tally, protocol: str, way: Way, story: Story) -> None:
    """Check that every request that a provider received has a row, and every answer is stored or explained."""
    received: Counter[tuple[str, str, str]] = Counter()
    answered: Counter[tuple[str, str, str]] = Counter()
    for call in list(lane.provider.calls):
        where = (call.headers.get("x-request-id", ""), call.path.split("/")[1], prompt_of(call.body))
        received[where] += 1
        answered[where] += call.fault in (None, "none")
    ran_out = bool(lane.one("SELECT count(*) FROM job_events WHERE type = 'lease_expired'"))
    for row in lane.ask(CELLS):
        where = (row["request_id"], row["region"], row["text"])
        cell = f"{row['id']} {row['region']} {row['question_id']}"
        if received[where] > row["tries"]:
            tally.wrong.append(f"{cell}: {received[where]} requests, {row['tries']} rows of tries")
        # The only answer may be the one whose message was cut: then the call may have failed.
        cut = int(protocol == "provider" and way not in ("before", "middle"))
        if answered[where] > cut and row["status"] != "ok" and row["result"] != "cancelled":
            tally.wrong.append(f"{cell}: the provider answered, and the answer is {row['status']}")
            tally.lost += 1
        uncalled = max(0, row["tries"] - received[where])
        if uncalled and not (way in ("killed", "late") or protocol == "provider" or ran_out):
            tally.wrong.append(f"{cell}: {uncalled} tries have rows, and reached no provider")
        again = max(0, answered[where] - 1)
        if again and not (way in ("killed", "late") or protocol == "provider" or ran_out):
            tally.wrong.append(f"{cell}: {again} answers of the provider are missing, and nothing explains it")
        tally.uncalled += uncalled
        tally.repeated += again


def _held(lane: Lane, tally: Tally) -> None:
    """Check that no process holds a lease or a transaction, and no ended victim a connection."""
    if leases := lane.one("SELECT count(*) FROM region_runs WHERE lease_token IS NOT NULL"):
        tally.wrong.append(f"{leases} leases are held")
    _until_none(lane, tally, "in a transaction", "xact_start < clock_timestamp() - interval '1 second'")
    lane.victims.kill_all()
    _until_none(lane, tally, "connected", "client_port = ANY (%s)", lane.taps["postgres"].ports)


def _until_none(lane: Lane, tally: Tally, what: str, rule: str, *params: object) -> None:
    """Wait until none of the sessions that match now matches; later sessions may match, because processes work."""
    query = f"{SESSIONS} AND {rule}"
    found = {row["session"]: row for row in lane.ask(query, *params)}
    if not found:
        return

    def have_gone() -> bool:
        now = {row["session"] for row in lane.ask(query, *params)}
        for gone in found.keys() - now:
            del found[gone]
        return not found

    try:
        until(have_gone, "", HELD_SECONDS)
    except TimeoutError:
        tally.wrong += [f"a session is still {what}: {tuple(row.values())}" for row in found.values()]


def _ending(lane: Lane, story: Story, way: Way) -> Ending:
    """Return how the job came to its end: the last kind of recovery that was needed."""
    said = lane.said()
    if "lease lost" in said or "fenced" in said:
        return "fenced"
    staged = "SELECT count(*) FROM job_events WHERE detail ->> 'reason' IN ('lease_expired', 'message_lost')"
    if lane.one(staged) > story.facts.get("staged", 0):
        return "swept"
    if story.facts.get("repeated") or any(len(asked.answers) > 1 for asked in story.requests):
        return "by the client"
    if way == "killed":
        return "taken over"
    return "in place" if any(word in said for word in (" WARNING ", " ERROR ")) else "unnoticed"
