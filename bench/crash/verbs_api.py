"""The API's verbs: accept, cancel, retry, republish, and a read."""

import json
from collections.abc import Iterable
from functools import partial

import psycopg

from bench.crash import states
from bench.crash.client import send
from bench.crash.lane import Lane, until
from bench.crash.states import ADMIN_HEADERS, HEADERS
from bench.crash.verb import CONNECTING, Step, Story, Verb, all_told, nothing
from runner_core.signing import sign
from tests.http_requests import request

JOBS = "/api/v1/jobs"
KEYED = HEADERS | {"Idempotency-Key": "a-key-of-the-client"}


def behind_the_taps(prepare: Step = nothing, env: dict[str, str] | None = None) -> Step:
    """Return a step that runs `prepare` and starts an API behind the taps, whose connection has sent nothing yet."""

    def prepared(lane: Lane, story: Story) -> None:
        prepare(lane, story)
        story.facts["url"] = lane.victim_api(**env or {})

    return prepared


def accept(lane: Lane, story: Story, *, count: int = 1) -> None:
    """Submit new jobs at the same time."""
    for _ in range(count):
        name = lane.name()
        story.jobs.append(name)
        send(lane, story, JOBS, states.spec(lane, name))


def accepted_before(lane: Lane, story: Story) -> None:
    """Submit a job to the API behind the taps, so that its connection has sent each statement once."""
    name = lane.name()
    code, answer = request("POST", f"{story.facts['url']}{JOBS}", states.spec(lane, name), HEADERS)
    assert code == 202, answer
    story.jobs.append(name)


def held_up(lane: Lane, story: Story) -> None:
    """Submit a job that waits for a lock of its table, so that later submissions share the next commit."""
    accepted_before(lane, story)  # without this the submission would wait before it has sent everything
    lock = psycopg.connect(lane.site.url)
    lock.execute("LOCK TABLE jobs IN SHARE MODE")
    story.facts["lock"] = lock
    accept(lane, story)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass"
    until(lambda: lane.one(waiting), "the submission waits")


def accept_in_a_group(lane: Lane, story: Story) -> None:
    """Submit two jobs while a third one is committed."""
    accept(lane, story, count=2)
    _commit_together(lane, story)


def _commit_together(lane: Lane, story: Story) -> None:
    """Release the lock of the first submission when the two others wait for its commit."""
    (api,) = lane.victims.running()
    port = int(story.facts["url"].rpartition(":")[2])
    try:
        until(lambda: api.has_read(3, port) and api.has_read(3, port), "the others wait")
    finally:
        story.facts["lock"].close()


def accept_beside_a_used_nonce(lane: Lane, story: Story) -> None:
    """Submit a job with a used nonce, and a new job in the same group."""
    used = json.loads(story.facts["spec"])["metadata"]["nonce"]
    body = json.loads(states.spec(lane, used)) | {"id": lane.name()}
    send(lane, story, JOBS, json.dumps(sign(body, lane.key)).encode())
    accept(lane, story)
    _commit_together(lane, story)


def keyed(lane: Lane, story: Story, *, has_expired: bool = False) -> None:
    """Submit a job with a client's key."""
    name = lane.name()
    story.facts["spec"] = states.spec(lane, name)
    code, answer = request("POST", f"{lane.url}{JOBS}", story.facts["spec"], KEYED)
    assert code == 202, answer
    story.jobs.append(name)
    if has_expired:
        lane.do("UPDATE idempotency_keys SET expires_at = clock_timestamp() - interval '1 second'")


def repeat(lane: Lane, story: Story) -> None:
    """Submit the same job with the same key."""
    send(lane, story, JOBS, story.facts["spec"], KEYED)


def reuse_the_key(lane: Lane, story: Story) -> None:
    """Submit another job with the key of an earlier one."""
    name = lane.name()
    story.jobs.append(name)
    send(lane, story, JOBS, states.spec(lane, name), KEYED)


def contradict(lane: Lane, story: Story) -> None:
    """Submit another job with the id of an earlier one."""
    send(lane, story, JOBS, states.spec(lane, story.jobs[0], ("EU",), ("q2",)))


def was_refused(lane: Lane, story: Story, code: str) -> Iterable[str]:
    """Check that exactly one request was refused, with that error code."""
    refusals = [asked.answers[-1][2].get("error_code") for asked in story.requests if asked.answers[-1][1] >= 400]
    if refusals != [code]:
        yield f"refused were {refusals}, not {code} alone"


def act(lane: Lane, story: Story, action: str) -> None:
    """Send a signed action of the job's owner."""
    name = story.jobs[0]
    body = sign({"action": action, "job_id": name, "nonce": f"{name}-{action}"}, lane.key)
    send(lane, story, f"{JOBS}/{name}/{action}", json.dumps(body).encode())


def republish(lane: Lane, story: Story, *, row: bool) -> None:
    """Republish one message (`row`) or all messages of a job, as an administrator."""
    newest = lane.one("SELECT max(id) FROM outbox")
    of = f"outbox/{newest}" if row else f"jobs/{story.jobs[0]}"
    send(lane, story, f"/admin/{of}/republish", headers=ADMIN_HEADERS)


def read(lane: Lane, story: Story) -> None:
    """Read the job."""
    send(lane, story, f"{JOBS}/{story.jobs[0]}", method="GET")


def lose_connections(lane: Lane, story: Story) -> None:
    """Reset the API's connections to PostgreSQL, and submit a job, which needs a new one."""
    lane.taps["postgres"].reset()
    accept(lane, story)


def was_cancelled(lane: Lane, story: Story) -> Iterable[str]:
    """Check that the job is cancelled once; or that it had ended before, and the client was told so."""
    status, (_, code, answer) = states.status(lane, story.jobs[0]), story.requests[0].answers[-1]
    if status != "cancelled" and not (code == 409 and f"its status is {status}" in str(answer.get("detail"))):
        yield f"the client was told {code} {answer}, and the job is {status}"
    if status == "cancelled":
        yield from _once(lane, story, "cancel_requested")


def was_retried(lane: Lane, story: Story) -> Iterable[str]:
    """Check that the job ran again, once."""
    yield from _once(lane, story, "retry_requested")
    if (status := states.status(lane, story.jobs[0])) != "completed":
        yield f"the retried job is {status}"


def _once(lane: Lane, story: Story, event: str) -> Iterable[str]:
    count = lane.one("SELECT count(*) FROM job_events WHERE job_id = %s AND type = %s", story.jobs[0], event)
    if count != 1:
        yield f"the job has {count} events {event}"


# Long limits, because the first submission waits for a lock until both others have arrived.
PATIENT, PATIENT_SECONDS = {"DB_WRITE_TIMEOUT_MS": "6000"}, 7.7
SUBMITTING = ("jobs.submit",)
BEGINNING = ("BEGIN", "jobs.lock", "jobs.state", "jobs.action", "nonces.spend")  # the same in each action
VERBS = [
    Verb("accept: alone", behind_the_taps(), accept, all_told, SUBMITTING),
    Verb("accept: alone, warm", behind_the_taps(), accept, all_told, SUBMITTING, warm=accepted_before),
    Verb("accept: on a new connection", behind_the_taps(), lose_connections, all_told, (CONNECTING, "db.settings"),
         warm=accepted_before),
    Verb("accept: in a group", behind_the_taps(env=PATIENT), accept_in_a_group, all_told, SUBMITTING, warm=held_up,
         late_seconds=PATIENT_SECONDS),
    Verb("accept: in a group with a used nonce", behind_the_taps(states.submitted, PATIENT),
         accept_beside_a_used_nonce,
         all_told, ("jobs.repeats", "nonces.find"), warm=held_up, late_seconds=PATIENT_SECONDS,
         check=partial(was_refused, code="replay_detected")),
    Verb("accept: a repeat", behind_the_taps(keyed), repeat, all_told, (*SUBMITTING, "idempotency.find"),
         elsewhere=SUBMITTING),
    Verb("accept: a repeat, warm", behind_the_taps(keyed), repeat, all_told, ("idempotency.find",),
         warm=accepted_before, elsewhere=("jobs.stored",)),
    Verb("accept: a conflict", behind_the_taps(states.submitted), contradict, all_told, ("jobs.stored",),
         check=partial(was_refused, code="job_conflict")),
    Verb("accept: a key that has expired", behind_the_taps(partial(keyed, has_expired=True)), reuse_the_key, all_told,
         ("idempotency.expire",)),
    Verb("cancel: queued", behind_the_taps(states.submitted), partial(act, action="cancel"), all_told, ("jobs.cancel",),
         check=was_cancelled),
    Verb("cancel: running", behind_the_taps(states.held), partial(act, action="cancel"), all_told,
         ("jobs.cancel", "bell.ring"), elsewhere=BEGINNING, check=was_cancelled),
    Verb("retry", behind_the_taps(partial(states.finished, fail=True)), partial(act, action="retry"), all_told,
         ("jobs.reopen",), elsewhere=BEGINNING, check=was_retried),
    Verb("republish: a message", behind_the_taps(states.undeliverable), partial(republish, row=True), all_told,
         ("reads.outbox_row",), elsewhere=BEGINNING),
    Verb("republish: a job", behind_the_taps(states.silent), partial(republish, row=False), all_told,
         ("outbox.stage",), elsewhere=BEGINNING),
    Verb("a read", behind_the_taps(states.submitted), read, all_told, ("reads.",),
         elsewhere=("BEGIN", "reads.rows", "reads.processes", "portal.regions")),
]  # fmt: skip
