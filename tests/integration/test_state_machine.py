"""Every verb in any order over the real database, with crashes in between: the invariants hold after each step.

What a dead or paused worker leaves is made by not going on: claims that were taken are kept, and any of them may act
again later, when its lease has run out, somebody else has the region or the job has ended. At the end everything that
was lost on the way is looked for once more, and every job must end. BEACON_EXAMPLES sets how many sequences are tried.
"""

import os
from dataclasses import replace
from typing import cast

import psycopg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from psycopg.rows import dict_row
from redis.exceptions import ConnectionError as RedisConnectionError

from outbox_publisher.relay import publish_batch
from outbox_publisher.sweep import take_back
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.errors import Conflict
from runner_core.jobspec import Submission
from runner_core.queries import run
from runner_core.store import outbox, region_runs
from runner_core.store.answers import Started
from runner_queue.broker import Broker
from runner_worker.engine.leases import beat, claim
from runner_worker.engine.record import write_rows
from tests.integration.machine_world import REGIONS, VERIFY, Lease, World
from tests.jobs import opened, settings_for, submission, submit

ADMIN = Actor("admin")
EXAMPLES = int(os.environ.get("BEACON_EXAMPLES", "40"))
STEPS = 40
picks = st.integers(min_value=0, max_value=1_000_000)
jobs = st.builds(
    lambda regions, models, questions: submission(
        "job", regions=regions, models=models, questions=questions, public_key="key"
    ),
    st.lists(st.sampled_from(REGIONS), min_size=1, max_size=3, unique=True),
    st.sampled_from((("m1",), ("m1", "m2"))),
    st.sampled_from((("q1",), ("q1", "q2"))),
)


class Beacon(World):
    # -- clients --

    @initialize(job=jobs)
    def begins(self, job: Submission) -> None:
        self.submits(job)
        self.delivers(0, 1)

    @precondition(lambda self: len(self.jobs) < 4)
    @rule(job=jobs)
    def submits(self, job: Submission) -> None:
        job = replace(job, job_id=f"{job.job_id}-{len(self.jobs)}", nonce=f"nonce {len(self.jobs)}")
        assert not submit(self.db, job).replayed
        self.jobs.append(job)

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def submits_again(self, pick: int) -> None:
        job = self.jobs[pick % len(self.jobs)]
        before = self.count("jobs"), self.count("outbox"), self.count("job_events")
        assert submit(self.db, job).replayed
        assert (self.count("jobs"), self.count("outbox"), self.count("job_events")) == before

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def cancels(self, pick: int) -> None:
        job_id = self.jobs[pick % len(self.jobs)].job_id
        ended = self.status(job_id) not in ("queued", "running")
        try:
            cancel_job(self.db, job_id, ADMIN, self.action())
        except Conflict:
            assert ended
        else:
            assert not ended
            assert self.status(job_id) == "cancelled"

    @precondition(lambda self: self.jobs)
    @rule(pick=picks, region=st.sampled_from((None, *REGIONS)))
    def retries(self, pick: int, region: str | None) -> None:
        job = self.jobs[pick % len(self.jobs)]
        if region is not None and region not in job.plan:
            region = None
        completed = self.rows("SELECT * FROM executions WHERE job_id = %s AND status = 'completed'", job.job_id)
        try:
            retry_job(self.db, job.job_id, Wanted(region), ADMIN, self.action())
        except Conflict:
            return
        assert self.status(job.job_id) == "running"
        kept = self.rows("SELECT * FROM executions WHERE job_id = %s AND status = 'completed'", job.job_id)
        assert kept == completed

    # -- publishers and sweepers --

    @rule(crash=st.booleans())
    def publishes(self, crash: bool) -> None:
        self.queue.crashes = crash
        try:
            publish_batch(self.db, cast(Broker, self.queue))
        except RedisConnectionError:
            assert crash
        self.queue.crashes = False

    @precondition(lambda self: self.queue.messages)
    @rule(pick=picks, everything=st.booleans())
    def redis_forgets(self, pick: int, everything: bool) -> None:
        if everything and pick % 4 == 0:
            self.queue.messages.clear()
        else:
            self.queue.messages.pop(pick % len(self.queue.messages))

    @rule(young_too=st.booleans())
    def sweeps(self, young_too: bool) -> None:
        take_back(self.db)
        if young_too:
            self.check_messages()
            # Both passes have looked at everything: nothing may be out of reach, however short the bound.
            assert self.conn.execute(VERIFY["I2"], self.params() | {"lease_seconds": 0}).fetchall() == []

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def waits_too_long_in_the_queue(self, pick: int) -> None:
        job_id = self.jobs[pick % len(self.jobs)].job_id
        # The time in the queue becomes 0, so that every region's time is over now: none may run out between a pass and
        # the look at what the pass left.
        self.conn.execute(b"UPDATE jobs SET queued_until = created_at WHERE id = %s", [job_id])
        self.check_messages()

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def gives_a_message_up(self, pick: int) -> None:
        job_id = self.jobs[pick % len(self.jobs)].job_id
        self.conn.execute(
            b"UPDATE outbox SET dead_at = clock_timestamp() WHERE id IN (SELECT id FROM outbox WHERE job_id = %s "
            b"AND processed_at IS NULL ORDER BY id LIMIT 1)",
            [job_id],
        )

    # -- workers --

    @rule(pick=picks, count=st.integers(1, 3))
    def delivers(self, pick: int, count: int) -> None:
        """The road without a fault: what waits is published, and some of it is claimed."""
        publish_batch(self.db, cast(Broker, self.queue))
        if self.queue.messages:
            self.claims(pick, count, False)

    @precondition(lambda self: self.queue.messages)
    @rule(pick=picks, count=st.integers(1, 3), again=st.booleans())
    def claims(self, pick: int, count: int, again: bool) -> None:
        """Some messages are taken together; `again`: they stay in the queue and come once more."""
        start = pick % len(self.queue.messages)
        taken = self.queue.messages[start : start + count]
        if not again:
            del self.queue.messages[start : start + count]
        live = {
            (r["job_id"], r["region"]) for r in self.rows("SELECT * FROM region_runs WHERE lease_expires_at > now()")
        }
        claimed, _, _ = claim(self.db, [(job_id, region) for _, job_id, region in taken], "worker")
        assert not live & {(r["job_id"], r["region"]) for r in claimed}, "a live lease was given away"
        for r in claimed:
            questions = [question["id"] for question in r["questions"]]
            self.leases.append(Lease(r["job_id"], r["region"], r["token"], r["attempt"], r["models"], questions))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def beats(self, pick: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        owned = self.owns(lease)
        assert beat(self.db, [lease.held]) == ([] if owned else [lease.token])

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def lease_runs_out(self, pick: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        past = b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE lease_token = %s"
        self.conn.execute(past, [lease.token])

    @precondition(lambda self: self.leases)
    @rule(pick=picks, which=picks, good=st.booleans())
    def answers(self, pick: int, which: int, good: bool) -> None:
        """One question: its start, and its answer unless the worker dies in between."""
        lease = self.leases[pick % len(self.leases)]
        model = lease.models[which % len(lease.models)]
        question = lease.questions[which % len(lease.questions)]
        before = self.answer(lease, model, question)
        started = Started(lease.job_id, lease.region, model, question, 1, "p", lease.token)
        written = write_rows(self.db, [lease.held], [started], [], [], [], [])
        assert (lease.token in written.fenced) == (not self.owns(lease))
        if not written.started:
            assert self.answer(lease, model, question) == before
            return
        lease.begun = True
        if which % 5:
            self.finish(lease, model, question, good)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, which=picks, good=st.booleans())
    def answers_late(self, pick: int, which: int, good: bool) -> None:
        """What a call brought that was begun long ago, perhaps by a worker that has lost its lease meanwhile."""
        lease = self.leases[pick % len(self.leases)]
        model = lease.models[which % len(lease.models)]
        question = lease.questions[which % len(lease.questions)]
        before, owned = self.answer(lease, model, question), self.owns(lease)
        self.finish(lease, model, question, good)
        after = self.answer(lease, model, question)
        if before and (before[0]["status"] == "ok" or (not good and not owned)):
            assert after == before

    @precondition(lambda self: self.leases)
    @rule(pick=picks, good=st.booleans(), models=st.integers(1, 2), twice=st.booleans())
    def records(self, pick: int, good: bool, models: int, twice: bool) -> None:
        lease = self.leases[pick % len(self.leases)]
        units = [self.unit(lease, model, good) for model in lease.models[:models]]
        owned, before = self.owns(lease), self.count("executions")
        written = write_rows(self.db, [lease.held], [], [], [], units, [lease.job_id])
        if not owned:
            assert self.count("executions") == before, "a zombie wrote"
            assert lease.token in written.fenced
        if twice:
            counted = self.count("executions"), self.count("job_events")
            write_rows(self.db, [lease.held], [], [], [], units, [lease.job_id])
            assert (self.count("executions"), self.count("job_events")) == counted

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def hands_back(self, pick: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        with self.db.transaction() as conn:
            run(conn, "jobs.lock", job_ids=[lease.job_id])
            released = region_runs.release(conn, [lease.held], [not lease.begun])
            if released:
                outbox.stage(conn, [(lease.job_id, lease.region, "released")])

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def worker_dies(self, pick: int) -> None:
        """Nobody will act with this lease any more; it is there until it runs out."""
        self.leases.pop(pick % len(self.leases))

    def teardown(self) -> None:
        """Liveness: whatever was lost comes back, and workers that stay alive bring every job to its end."""
        for _ in range(12):
            self.conn.execute(b"UPDATE region_runs SET lease_expires_at = now() WHERE lease_token IS NOT NULL")
            self.queue.messages.clear()
            take_back(self.db)
            self.check_messages()
            publish_batch(self.db, cast(Broker, self.queue))
            claimed, _, _ = claim(self.db, [(job_id, region) for _, job_id, region in self.queue.messages], "last")
            for r in claimed:
                lease = Lease(r["job_id"], r["region"], r["token"], r["attempt"], r["models"], [])
                units = [self.unit(lease, model, True) for model in lease.models]
                write_rows(self.db, [lease.held], [], [], [], units, [lease.job_id])
            if not self.rows("SELECT id FROM jobs WHERE status IN ('queued', 'running')"):
                break
        self.every_invariant_holds()
        assert self.rows("SELECT id, status FROM jobs WHERE status IN ('queued', 'running')") == []
        assert {r["id"] for r in self.rows("SELECT id FROM jobs")} == {job.job_id for job in self.jobs}


def test_the_invariants_hold_after_every_step_of_any_sequence(database_url: str) -> None:
    with (
        # No lease runs out by itself, however slow the machine is: the rule that ends them does.
        opened(settings_for(database_url, region_max_attempts=2, lease_seconds=3600), size=2) as db,
        psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as conn,
    ):
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            type("BeaconHere", (Beacon,), {"db": db, "conn": conn}),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                derandomize="BEACON_EXAMPLES" not in os.environ,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
