"""A valid job and a catalogue, for tests that change one thing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner_core.errors import SpecError
from runner_core.job_shapes import Wrapper
from runner_core.jobspec import Submission, plan_job
from runner_core.regions import Catalogue, Provider, Region
from runner_core.signing import Verified
from runner_core.upstreams import PARAMETERS, UpstreamModel

FIELD = json.loads((Path(__file__).parents[1] / "data" / "signature_vectors.json").read_text())
MODELS = {f"m{n}": f"vendor/m{n}" for n in range(17)}
NAMES = ["US", "EU", "ASIA", "R4", "R5", "R6", "R7", "R8", "R9"]


def without(catalogue: Catalogue, *names: str, region: str) -> Catalogue:
    """The catalogue, in which the providers of one region do not take these parameters."""
    takes = frozenset(PARAMETERS) - set(names)
    providers = [
        replace(p, models={name: replace(model, takes=takes) for name, model in p.models.items()})
        if p.region == region
        else p
        for p in catalogue.providers
    ]
    return replace(catalogue, providers=providers)


def provider(region: str, models: dict[str, str]) -> Provider:
    return Provider(
        f"p-{region.lower()}",
        region,
        "openai",
        "http://h",
        "",
        8,
        {name: UpstreamModel(upstream) for name, upstream in models.items()},
    )


CATALOGUE = Catalogue(
    sha256="",
    default_model="m0",
    questions={"math_basic": "What is 2+2?", "identity_basic": "Who are you?"},
    regions={name: Region(name, name, ("us-east", "us-west") if name == "US" else ()) for name in NAMES},
    providers=[
        provider(
            name, MODELS | ({"llama3.2-1b": "llama", "only-us": "x"} if name == "US" else {"llama3.2-1b": "llama"})
        )
        for name in NAMES
    ],
    refusal_patterns=(),
)


def job(**changes: Any) -> dict[str, Any]:
    """A job that is valid; a change's name is a path with __ for the dot, and ... removes what is there."""
    spec: dict[str, Any] = {
        "id": "job-1",
        "version": "v1",
        "benchmark": {
            "name": "capitals",
            "container": {"image": "i"},
            "input": {"hash": "sha256:placeholder", "data": {"prompt": "Why?"}},
        },
        "constraints": {"regions": ["US", "EU"]},
    }
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = spec
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ...:
            place.pop(name, None)
        else:
            place[name] = value
    return spec


def plan(
    spec: dict[str, Any], wrapper: Wrapper | None = None, signature_form: str | None = None, **more: Any
) -> Submission:
    return plan_job(Verified.of(spec, signature_form), CATALOGUE, wrapper, **more)


def refused(spec: dict[str, Any], wrapper: Wrapper | None = None, **more: Any) -> tuple[str, str]:
    with pytest.raises(SpecError) as caught:
        plan(spec, wrapper, **more)
    return caught.value.code, caught.value.detail


def invalid(spec: dict[str, Any], wrapper: Wrapper | None = None) -> str:
    code, detail = refused(spec, wrapper)
    assert code == "validation_error"
    return detail
