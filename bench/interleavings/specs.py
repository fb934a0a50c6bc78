"""The specifications: concurrent verbs, the state before them, and what must hold after them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.interleavings import holds, holds_analyst, states, verbs
from bench.interleavings.holds import Holds
from bench.interleavings.states import Prepare
from bench.interleavings.verbs import Verb, job
from bench.interleavings.verbs_analyst import analyse, label


@dataclass(frozen=True)
class Spec:
    """Concurrent verbs in a state. `holds` yields what is wrong. A refusal (BeaconError) is also a result."""

    name: str
    prepare: Prepare
    verbs: tuple[Verb, ...]
    holds: Holds
    quick: bool = False  # also in the run with --quick
    settings: Mapping[str, str] = field(default_factory=dict)


LAST_TWO, LAST_THREE = "US EU", "US EU ASIA"
OLD = {"JOB_RETENTION_DAYS": "1", "OUTBOX_RETENTION_DAYS": "1"}
KEY = "key"
SPECS = (
    Spec(
        "claim and claim",
        states.published(),
        (verbs.claim(), verbs.claim(worker="worker-2")),
        holds.one_claims,
        quick=True,
    ),
    Spec("claim and cancel", states.published(), (verbs.claim(), verbs.cancel()), holds.is_cancelled, quick=True),
    Spec(
        "record and record, the last two regions",
        states.claimed(LAST_TWO),
        (verbs.record("US"), verbs.record("EU")),
        holds.is_completed,
        quick=True,
    ),
    Spec("record and sweep", states.expired(), (verbs.record(), verbs.take_back()), holds.is_recorded_or_staged),
    Spec(
        "record and sweep, the last attempt",
        states.expired(attempts=3),
        (verbs.record(), verbs.take_back()),
        holds.is_recorded_or_crashed,
    ),
    Spec(
        "record and cancel", states.claimed(), (verbs.record(), verbs.cancel()), holds.is_cancelled_or_done, quick=True
    ),
    Spec("heartbeat and sweep", states.expired(), (verbs.beat(), verbs.take_back()), holds.keeps_or_loses_its_lease),
    Spec(
        "cancel and retry", states.failed("US", also="EU"), (verbs.cancel(), verbs.retry()), holds.is_cancelled_for_good
    ),
    Spec(
        "retry and record",
        states.failed("US", also="EU"),
        (verbs.retry(), verbs.record("EU")),
        holds.runs_again,
        quick=True,
    ),
    Spec(
        "publish and publish",
        states.queued(LAST_THREE),
        (verbs.publish(), verbs.publish()),
        holds.is_published_once,
        quick=True,
        settings={"OUTBOX_BATCH": "2"},
    ),
    Spec("publish and cancel", states.queued(), (verbs.publish(), verbs.cancel()), holds.is_withdrawn_or_sent),
    Spec(
        "accept and accept, one job",
        states.nothing,
        (verbs.accept(job(), KEY), verbs.accept(job(), KEY)),
        holds.is_accepted_once,
        quick=True,
    ),
    Spec(
        "accept and accept, two jobs with one key",
        states.nothing,
        (verbs.accept(job("job-1"), KEY), verbs.accept(job("job-2"), KEY)),
        holds.is_refused_once,
        quick=True,
    ),
    Spec(
        "retention and retry",
        states.old(states.failed("US"), 3),
        (verbs.remove_old(), verbs.retry()),
        holds.is_removed_or_retried,
        settings=OLD,
    ),
    Spec("republish and publish", states.queued(), (verbs.republish(), verbs.publish()), holds.is_sent_again),
    Spec(
        "claim and claim, a lease that ran out",
        states.expired(),
        (verbs.claim(), verbs.claim(worker="worker-2")),
        holds.one_claims_again,
    ),
    Spec(
        "claim and cancel, a lease that ran out",
        states.expired(),
        (verbs.claim(), verbs.cancel()),
        holds.is_cancelled,
        quick=True,
    ),
    Spec("claim and sweep", states.expired(), (verbs.claim(), verbs.take_back()), holds.has_a_claim),
    Spec(
        "claim and sweep, Redis emptied",
        states.emptied(states.published()),
        (verbs.claim(), verbs.look_for_messages()),
        holds.has_a_claim,
    ),
    Spec(
        "publish and sweep, Redis emptied",
        states.queued(),
        (verbs.publish(), verbs.look_for_messages()),
        holds.is_reachable,
    ),
    Spec(
        "record and claim, a lease that ran out",
        states.expired(),
        (verbs.record(), verbs.claim(worker="worker-2")),
        holds.has_its_next_worker,
        quick=True,
    ),
    Spec(
        "store an answer and cancel",
        states.claimed(questions=2),
        (verbs.store(), verbs.cancel()),
        holds.is_stored,
    ),
    Spec(
        "store an answer and sweep",
        states.expired(questions=2),
        (verbs.store(), verbs.take_back()),
        holds.is_stored_and_staged,
    ),
    Spec(
        "store an answer and sweep, the last attempt",
        states.expired(questions=2, attempts=3),
        (verbs.store(), verbs.take_back()),
        holds.is_stored,
    ),
    Spec("release and sweep", states.expired(), (verbs.release(), verbs.take_back()), holds.is_released_once),
    Spec("release and cancel", states.claimed(), (verbs.release(), verbs.cancel()), holds.is_cancelled, quick=True),
    Spec("cancel and cancel", states.claimed(), (verbs.cancel(), verbs.cancel("cancel-2")), holds.one_acts, quick=True),
    Spec("retry and retry", states.failed(), (verbs.retry(), verbs.retry("retry-2")), holds.one_acts, quick=True),
    Spec(
        "accept and retention, a key past its days",
        states.expired_key(KEY),
        (verbs.accept(job("job-2"), KEY), verbs.remove_old()),
        holds.is_accepted_anew,
    ),
    Spec(
        "store an analysis and retry",
        states.failed(LAST_TWO),
        (analyse(), verbs.retry()),
        holds_analyst.is_analysed_as_it_was,
        quick=True,
    ),
    Spec(
        "store an analysis and store an analysis",
        states.completed(LAST_TWO),
        (analyse(), analyse()),
        holds_analyst.is_analysed_once,
    ),
    Spec(
        "store an analysis and label",
        states.completed(LAST_TWO),
        (analyse(), label()),
        holds_analyst.is_analysed_with_its_labels,
        quick=True,
    ),
    Spec(
        "store an analysis and retention",
        states.old(states.failed(LAST_TWO), 3),
        (analyse(), verbs.remove_old()),
        holds_analyst.is_removed_or_analysed,
        settings=OLD,
    ),
    Spec(
        "record, record and record, the last three regions",
        states.claimed(LAST_THREE),
        tuple(verbs.record(region) for region in LAST_THREE.split()),
        holds.is_completed,
    ),
    Spec(
        "record, record and cancel, the last two regions",
        states.claimed(LAST_TWO),
        (verbs.record("US"), verbs.record("EU"), verbs.cancel()),
        holds.is_cancelled_or_done,
    ),
)
