"""Chooses the parameters of a request to a model: those that the job asks for, else the defaults. No I/O.

`job_parameters` is what the column `jobs.parameters` holds: {"job": {..}, "models": {"id": {..}}}, or None for a job
that gives none. `asked` has the parameters that the job asks for one model; a null in it means that nothing is sent.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from runner_core.upstreams import PARAMETERS, UpstreamModel

NOTHING: Mapping[str, Any] = {}
_IN_BODY = tuple(name for name in PARAMETERS if name != "system_prompt")
_NO_PROVIDER = UpstreamModel("")


def effective(job_parameters: Mapping[str, Any] | None, model_id: str) -> Mapping[str, Any]:
    """Return the parameters that a job asks for a model, nulls included. The model's own come before the job's."""
    if not job_parameters:
        return NOTHING
    return {**job_parameters["job"], **job_parameters["models"].get(model_id, NOTHING)}


def values_to_send(asked: Mapping[str, Any], upstream: UpstreamModel, seed: int) -> dict[str, Any]:
    """Return the values that a request has, by our names: the asked ones, else the defaults; `seed` is the derived one.

    A null removes a value. A value that the provider does not take is left out.
    """
    wanted = {**upstream.defaults, "seed": seed, **asked}
    return {name: wanted[name] for name in _IN_BODY if wanted.get(name) is not None and name in upstream.takes}


def system_prompt_for(asked: Mapping[str, Any], upstream: UpstreamModel, of_region: str) -> str:
    """Return the system prompt of a request: the job's if it asks for one, else the region's; empty for none."""
    if "system_prompt" not in upstream.takes:
        return ""
    return asked.get("system_prompt", of_region) or ""


def seed_of(job_id: str, region: str, model_id: str, question_id: str, run_no: int) -> int:
    """Return the seed of a call, from 0 to 2^31 - 1: the same in every try, another in every other call.

    `question_id` is `prompt` in a job without questions. Anybody can compute the seed (docs/clients.md).
    """
    name = f"{job_id}/{region}/{model_id}/{question_id}/{run_no}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") & 0x7FFFFFFF


def recorded(
    asked: Mapping[str, Any], upstream: UpstreamModel | None, *, region_prompt: str, regions_sha256: str
) -> dict[str, Any]:
    """Return the values that an execution keeps of its model's requests.

    `upstream` is None for a model without a provider. A temperature or max_tokens that was not sent is null.
    `parameters`, as asked, and the constant `body` are there only if there are any.
    """
    upstream = upstream or _NO_PROVIDER
    sent = values_to_send(asked, upstream, 0)
    kept: dict[str, Any] = {
        "temperature": sent.get("temperature"),
        "max_tokens": sent.get("max_tokens"),
        "system_prompt": system_prompt_for(asked, upstream, region_prompt),
        "upstream_model": upstream.name,
        "regions_sha256": regions_sha256,
    }
    return (
        kept | ({"parameters": dict(asked)} if asked else {}) | ({"body": dict(upstream.body)} if upstream.body else {})
    )
