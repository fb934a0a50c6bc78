"""Accept a submitted job: the same checks in the same order for both addresses and for the form."""

from datetime import UTC, datetime
from typing import Any

from runner_api.http.idempotency import stored_key
from runner_api.http.requests import request_id, traceparent
from runner_api.http.services import services
from runner_api.verbs.submit import Accepted, Sender, find_repeat, submit_job
from runner_core.errors import Rejected, SignatureError
from runner_core.jobspec import Submission, Wrapper, plan_job
from runner_core.signing import check_freshness, is_signed, key_id, unsigned, verify


def accept(spec: dict[str, Any], raw: bytes, wrapping: dict[str, Any] | None) -> Accepted:
    """Signature, trust, repeat, freshness, validation, transaction A.

    A fresh and valid request goes straight to transaction A, where a repeat shows as a key that exists; asking first
    would cost every job a round trip. Only a stale one is asked about, because a repeat is good whatever its age.
    """
    service = services()
    now = datetime.now(UTC)
    content = unsigned(spec)
    form, actor = None, "unsigned"
    if is_signed(spec) or not service.settings.allow_unsigned:
        form = verify(spec, content)
        actor = (
            service.trust.check(spec["public_key"], now).kid if service.trust else f"key:{key_id(spec['public_key'])}"
        )
    job: Submission | None = None
    invalid: Rejected | None = None
    try:
        key = stored_key(spec["public_key"] if form else None)
        wrapper = None if wrapping is None else Wrapper.parse(wrapping)
        job = plan_job(spec, service.catalogue, wrapper, raw=raw, signature_form=form, content=content)
    except Rejected as error:
        invalid = error
    if form and service.settings.freshness_enforce:
        try:
            check_freshness(spec, now)
        except SignatureError:
            if job and (earlier := find_repeat(service.db, job, key)):
                return earlier
            raise
    if invalid or job is None:
        raise invalid or Rejected()
    return submit_job(service.db, service.submissions, job, Sender(actor, key, request_id(), traceparent()))
