"""Accept a submitted job: the same checks in the same order for both addresses and for the form."""

from datetime import UTC, datetime
from typing import Any

from runner_api.http.idempotency import stored_key
from runner_api.http.requests import request_id, traceparent
from runner_api.http.services import services
from runner_api.verbs.submit import Accepted, Sender, find_repeat, submit_job
from runner_api.verbs.upgrade import check_workers
from runner_core.errors import Rejected, SignatureError
from runner_core.job_shapes import Wrapper
from runner_core.jobspec import Submission, plan_job
from runner_core.keys import key_id
from runner_core.signing import Verified, is_signed, verify


def accept(spec: dict[str, Any], raw: bytes, wrapping: dict[str, Any] | None) -> Accepted:
    """Check signature, trust, freshness and content, then carry out transaction A.

    A fresh and valid request goes straight to transaction A, where a repeat shows as a key that exists; asking first
    would cost every job a round trip. Only a stale one is asked about, because a repeat is good whatever its age.
    """
    service, now = services(), datetime.now(UTC)
    received = verify(spec) if is_signed(spec) or not service.settings.api.allow_unsigned else Verified.of(spec, None)
    actor = _actor(received, now)
    stale = _staleness(received, now)
    try:
        key = stored_key(received.public_key)
        wrapper = None if wrapping is None else Wrapper.parse(wrapping)
        job = plan_job(received, service.catalogue, wrapper, raw=raw)
    except Rejected as invalid:
        raise (stale or invalid) from None
    refusal = stale or _refusal_by_workers(job)
    if refusal is None:
        return submit_job(service.db, service.submissions, job, Sender(actor, key, request_id(), traceparent()))
    if earlier := find_repeat(service.db, job, key):
        return earlier
    raise refusal


def _refusal_by_workers(job: Submission) -> Rejected | None:
    try:
        check_workers(services().db, job)
    except Rejected as refusal:
        return refusal
    return None


def _actor(received: Verified, now: datetime) -> str:
    """Return the name of the sender for the job's event. Raises Rejected trust_violation for a key without trust."""
    trust = services().trust
    if received.public_key is None:
        return "unsigned"
    return trust.check(received.public_key, now).kid if trust else f"key:{key_id(received.public_key)}"


def _staleness(received: Verified, now: datetime) -> SignatureError | None:
    """Return the refusal of a signed job that is too old or from the future, None for a fresh one."""
    if received.form is None or not services().settings.api.freshness_enforce:
        return None
    try:
        received.check_freshness(now)
    except SignatureError as error:
        return error
    return None
