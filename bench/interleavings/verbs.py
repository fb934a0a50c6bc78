"""The product's verbs, as the sessions call them."""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.interleavings.world import World
from outbox_publisher import retention, sweep, sweeper
from outbox_publisher.relay import publish_batch
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.republish import republish_row
from runner_api.verbs.retry import Wanted, retry_job
from runner_api.verbs.submit import Sender, shared_submissions, submit_job
from runner_core.db import Database
from runner_core.jobspec import Question, Submission
from runner_core.queries import Row
from runner_core.regions import Catalogue, load_catalogue
from runner_queue.broker import Broker
from runner_worker.engine import leases
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.record import Batch, RowWriter
from runner_worker.engine.runs import Answer, Message, Run
from runner_worker.providers import CallFailed, Reply
from runner_worker.providers.ask import Answer as Said

JOB, MODEL, WHO = "job", "smollm2-135m", Actor("admin")
PLACES = 8  # as many calls as the claim may start
REGIONS = Path(__file__).parents[2] / "regions/sandbox.toml"
FAILURE = {"code": "http_403", "type": "http", "stage": "response", "message": "no", "transient": False}


@dataclass
class Scene:
    """A prepared state: the results of the workers' claims, and what the verbs need besides a database."""

    world: World
    db: Database = field(init=False)  # without a gate, for the preparation
    catalogue: Catalogue = field(default_factory=lambda: load_catalogue(REGIONS, allow_sandbox=True))
    claims: dict[str, tuple[Row, list[Row]]] = field(default_factory=dict)
    message: int = 0  # the id of the first outbox row

    def run(self, region: str) -> Run:
        """Return the region run, made from the result of its claim."""
        claimed, stored = self.claims[region]
        return Run(claimed, Message(JOB, region, "r-1", "d-1"), _nothing, self.catalogue, stored)


Do = Callable[[Database, Scene], Any]


@dataclass(frozen=True)
class Verb:
    """A verb with its parameters, and the kind of process that calls it."""

    name: str
    kind: str
    do: Do


def _nothing(message: Message, outcome: str) -> None:
    """Do nothing at the end of a run."""


def job(job_id: str = JOB, regions: str = "US", questions: int = 1, **changes: Any) -> Submission:
    """Return a valid job; `changes` are fields of Submission."""
    return replace(
        Submission(
            job_id=job_id,
            spec={"id": job_id, "version": "v1"},
            spec_raw=b"{}",
            plan={region: [MODEL] for region in regions.split()},
            questions=[Question(f"q{number}", f"What is {number}?") for number in range(questions)],
            runs=1,
            min_regions=1,
            min_success_rate=Decimal("0.67"),
            timeout_seconds=60.0,
            provider_timeout_seconds=30.0,
            enable_analysis=None,
            digest=hashlib.sha256(job_id.encode()).digest(),
            public_key=None,
            signature_form=None,
            nonce=None,
            created_by=None,
        ),
        **changes,
    )


def accept(wanted: Submission, key: str | None = None) -> Verb:
    """Accept a job in a group of its own."""
    sender = Sender(actor="client", key=key, request_id="r-1", traceparent="")
    return Verb("accept", "api", lambda db, _: submit_job(db, shared_submissions(db), wanted, sender))


def publish() -> Verb:
    """Publish a batch."""

    def do(db: Database, scene: Scene) -> int:
        with closing(Broker(db.settings)) as broker:
            return publish_batch(db, broker)

    return Verb("publish", "publisher", do)


def claim(region: str = "US", worker: str = "worker-1") -> Verb:
    """Claim a region and start its calls."""

    def do(db: Database, scene: Scene) -> tuple[list[Row], list[Row], set[Any]]:
        rooms, places = Capacity(PLACES, 1, lambda provider, model: False).rooms(scene.catalogue.providers)
        return leases.claim(db, [(JOB, region)], worker, rooms, places)

    return Verb("claim", "worker", do)


def store(region: str = "US") -> Verb:
    """Store the answer to the first question while others are open."""

    def do(db: Database, scene: Scene) -> Any:
        run = scene.run(region)
        return RowWriter(scene.catalogue, None).write(db, Batch(answers=[_answer(run, ok=True)]))

    return Verb("store an answer", "worker", do)


def record(region: str = "US", *, ok: bool = True) -> Verb:
    """Store the last answer of a region and its execution, and close the region and, if it was the last, the job."""

    def do(db: Database, scene: Scene) -> Any:
        run = scene.run(region)
        answer = _answer(run, ok=ok)
        unit = answer.call.unit
        unit.take(answer)
        return RowWriter(scene.catalogue, None).write(db, Batch(answers=[answer], units=[unit], closing=[run]))

    return Verb("record", "worker", do)


def beat(region: str = "US") -> Verb:
    """Extend a lease."""
    return Verb("heartbeat", "worker", lambda db, scene: leases.beat(db, [scene.run(region).held]))


def release(region: str = "US") -> Verb:
    """Release a region before its first request."""

    def do(db: Database, scene: Scene) -> None:
        run = scene.run(region)
        leases.release(db, [run], run.plan)

    return Verb("release", "worker", do)


def take_back() -> Verb:
    """Clear the expired leases."""
    return Verb("sweep leases", "publisher", lambda db, _: sweep.take_back(db))


def look_for_messages() -> Verb:
    """Run the sweeper, which clears expired leases and then stages regions whose messages Redis has lost."""

    def do(db: Database, scene: Scene) -> int:
        with closing(Broker(db.settings)) as broker:
            return sweeper.Sweeper(db, broker).run_once()

    return Verb("sweep messages", "publisher", do)


def cancel(action: str = "cancel-1") -> Verb:
    """Cancel the job."""
    return Verb("cancel", "api", lambda db, _: cancel_job(db, JOB, WHO, action))


def retry(action: str = "retry-1") -> Verb:
    """Retry everything that has failed."""
    return Verb("retry", "api", lambda db, _: retry_job(db, JOB, Wanted(), WHO, action))


def republish() -> Verb:
    """Republish the first message of the job."""

    return Verb("republish", "api", lambda db, scene: republish_row(db, scene.message, WHO, "republish-1"))


def remove_old() -> Verb:
    """Remove the rows that retention removes."""
    return Verb("retention", "publisher", lambda db, _: retention.remove_old(db))


def _answer(run: Run, *, ok: bool) -> Answer:
    """Return a provider's answer to the first open call."""
    call = run.plan[0]
    call.begun = time.monotonic()
    if not ok:
        return Answer.failed(call, CallFailed(FAILURE | {"provider": "sandbox"}, "no", 1, []))
    said = Said("4", finish_reason="stop", simulated=True)
    return Answer.of(call, Reply(said, refusal_source=None, provider_id="sandbox", calls=1, errors=[]))
