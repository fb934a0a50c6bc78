"""Turn a stored job into the values of the form that submits it again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner_core.job_shapes import NANOSECONDS
from runner_core.regions import Catalogue

# What names, dates or signs the earlier submission; the browser makes new ones.
_OF_ONE_SUBMISSION = ("id", "jobspec_id", "created_at", "signature", "public_key", "wallet_auth")
_OF_ONE_SIGNATURE = ("timestamp", "nonce", "created_by")
# What the form has a field for.
_SHOWN = {"version", "benchmark", "constraints", "questions", "models", "metadata", "runs"}
_SHOWN_CONSTRAINTS = {"regions", "min_regions", "timeout"}


@dataclass(frozen=True)
class Again:
    """The form's values. `base`: the job as JSON, which the browser changes by what is chosen in the form.

    `own`: the questions that the catalogue does not have, with their places in the job. `only`: the regions of a model
    that the job asks in some regions only. `kept`: what the form sends on without a field for it. `gone`: what this
    deployment does not have any more, and the form leaves out.
    """

    job_id: str
    base: str
    name: str
    questions: frozenset[str]
    own: list[tuple[int, str]]
    prompt: str
    models: frozenset[str]
    only: dict[str, list[str]]
    regions: frozenset[str]
    runs: int
    min_regions: int
    minutes: int
    kept: list[str]
    gone: list[str]


def again(job_id: str, spec: Mapping[str, Any], plan: Mapping[str, list[str]], catalogue: Catalogue) -> Again:
    """Return the values for a job with this specification. `plan` is region -> models, as the job was run."""
    metadata = spec.get("metadata") if isinstance(spec.get("metadata"), dict) else {}
    left = {name: value for name, value in spec.items() if name not in _OF_ONE_SUBMISSION and value is not None}
    told = {name: value for name, value in (metadata or {}).items() if name not in _OF_ONE_SIGNATURE}
    chosen = told.pop("models", None) or ([told["model"]] if told.get("model") else [])
    told.pop("model", None)
    listed = [model if isinstance(model, dict) else {"id": model} for model in left.get("models") or chosen]
    base = left | {"metadata": told, "models": listed}
    questions = [text for text in left.get("questions") or [] if isinstance(text, str)]
    models = list(dict.fromkeys(model for region in plan.values() for model in region))
    constraints = left.get("constraints") or {}
    prompt = "" if questions else _prompt(left)
    return Again(
        job_id=job_id,
        base=json.dumps(base),
        name=str((left.get("benchmark") or {}).get("name") or ""),
        questions=frozenset(text for text in questions if text in catalogue.questions),
        own=[(place, text) for place, text in enumerate(questions) if text not in catalogue.questions],
        prompt=catalogue.questions.get(prompt, prompt),
        models=frozenset(models) & frozenset(catalogue.models),
        only={
            model["id"]: [region for region in catalogue.models[model["id"]] if region in model["regions"]]
            for model in listed
            if model.get("regions") and model["id"] in catalogue.models
        },
        regions=frozenset(plan) & frozenset(catalogue.regions),
        runs=left.get("runs") or 1,
        min_regions=min(constraints.get("min_regions") or 1, max(1, len(plan))),
        minutes=max(1, round((constraints.get("timeout") or 600 * NANOSECONDS) / (60 * NANOSECONDS))),
        kept=_kept(left, told, listed, constraints),
        gone=[
            *(f"the model {model}" for model in models if model not in catalogue.models),
            *(f"the region {region}" for region in plan if region not in catalogue.regions),
            *(
                f"{model['id']} in {region}"
                for model in listed
                for region in model.get("regions") or []
                if region in catalogue.regions and region not in catalogue.models.get(model["id"], [region])
            ),
        ],
    )


def _prompt(spec: Mapping[str, Any]) -> str:
    data = ((spec.get("benchmark") or {}).get("input") or {}).get("data")
    prompt = data.get("prompt") if isinstance(data, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _kept(
    spec: Mapping[str, Any],
    metadata: Mapping[str, Any],
    models: list[dict[str, Any]],
    constraints: Mapping[str, Any],
) -> list[str]:
    """Return the names of what has no field in the form."""
    names = [name for name in spec if name not in _SHOWN]
    names += [f"constraints.{name}" for name in constraints if name not in _SHOWN_CONSTRAINTS]
    names += [f"metadata.{name}" for name, value in metadata.items() if value is not None]
    names += [f"the parameters of {model['id']}" for model in models if model.get("parameters")]
    return names
