"""Builds the request for a call, and the answer of a call that was not sent to its provider."""

import time
from typing import Any

from runner_core.error_detail import of_call, unasked
from runner_core.parameters import seed_of, system_prompt_for, values_to_send
from runner_core.regions import Catalogue
from runner_core.upstreams import UpstreamModel
from runner_worker.engine.runs import Answer, Call
from runner_worker.providers import Ask, CallFailed


def ask_of(call: Call, upstream: UpstreamModel, catalogue: Catalogue) -> Ask:
    """Return the request for one call: question, model, deadline, and what the job asks for or the defaults."""
    run, asked = call.run, call.unit.parameters
    seed = seed_of(run.job_id, run.region, call.unit.model_id, call.question_id, call.run_no)
    return Ask(
        region=run.region,
        model_id=call.unit.model_id,
        upstream=upstream,
        prompt=call.prompt,
        deadline=min(run.deadline, call.begun + run.provider_timeout),
        question_id=call.question_id,
        run_no=call.run_no,
        system_prompt=system_prompt_for(asked, upstream, catalogue.regions[run.region].system_prompt),
        parameters=values_to_send(asked, upstream, seed),
        request_id=run.origin.request_id,
        traceparent=run.origin.traceparent,
    )


def error_of(call: Call, code: str) -> dict[str, Any]:
    """Return the error object of a call that ended without asking; `code` is `timeout` or `no_provider`."""
    error = unasked(code, call.unit.provider.id if call.unit.provider else None)
    return of_call(error, call.run.region, call.unit.model_id, call.run.clock.at(time.monotonic()).isoformat())


def timed_out(call: Call) -> Answer:
    """Return the failed answer of a call that had no answer when its region's deadline passed."""
    call.begun = call.run.clock.claimed_at
    error = error_of(call, "timeout")
    return Answer.failed(call, CallFailed(error, error["message"], 0, []))


def never_sent(call: Call, number: int = 1) -> Answer:
    """Return an answer that removes the row of try `number`: the row was committed, but its request was never sent."""
    return Answer(call, "failed", None, 0, time.monotonic(), unreached=(number,))
