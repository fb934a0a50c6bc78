"""Reads the parameters of a submitted job, and refuses those that are not signed or that no provider takes. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner_core.errors import SpecError
from runner_core.job_shapes import JobSpec, Metadata, Model
from runner_core.parameters import effective
from runner_core.regions import Catalogue
from runner_core.signing import Verified, unsigned_member

MOST_TOLD = 10  # mistakes in one message


@dataclass(frozen=True)
class JobParameters:
    """The parameters that a job asks for, nulls included. `job`: of all models; `models`: by model id.

    `places`: where in the job a model's own parameters stand, by model id: `models[2].parameters`.
    """

    job: dict[str, Any] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, received: Verified, job: JobSpec, metadata: Metadata) -> "JobParameters":
        """Return the parameters of a job. Raises SpecError if a model is listed twice with different ones.

        `received` is the job before forms C and D leave members out, see `_check_signed`.
        """
        _check_signed(received)
        listed, where = (job.models, "models") if job.models else (metadata.models or [], "metadata.models")
        models: dict[str, dict[str, Any]] = {}
        places: dict[str, str] = {}
        for number, model in enumerate(listed):
            model_id = model.id if isinstance(model, Model) else model
            given = model.parameters.given() if isinstance(model, Model) and model.parameters else {}
            place = f"{where}[{number}].parameters"
            if models.setdefault(model_id, given) != given:
                raise SpecError(detail=f"{place}: the model {model_id} is listed twice, with different parameters.")
            places.setdefault(model_id, place)
        return cls(
            job.parameters.given() if job.parameters else {},
            {model_id: given for model_id, given in models.items() if given},
            places,
        )

    @property
    def stored(self) -> dict[str, Any] | None:
        """Return the value of the column jobs.parameters."""
        return {"job": self.job, "models": self.models} if self.job or self.models else None

    def check_taken(self, plan: Mapping[str, list[str]], catalogue: Catalogue) -> None:
        """Refuse a value that the provider of a planned model does not take.

        Only what the job asks for counts: defaults, nulls and the system prompt "", which means none, do not.
        Raises SpecError parameter_not_supported.
        """
        stored = self.stored
        if stored is None:
            return
        mistakes = []
        for region, model_id in ((region, model_id) for region, models in plan.items() for model_id in models):
            provider, upstream = catalogue.provider_for(region, model_id) or (None, None)
            if provider is None or upstream is None:
                continue  # the plan was refused already
            for name, value in effective(stored, model_id).items():
                if value is None or value == "" or name in upstream.takes:
                    continue
                place = self.places[model_id] if name in self.models.get(model_id, {}) else "parameters"
                mistakes.append(f"{place}.{name}: the provider {provider.id} in {region} does not take it.")
        if mistakes:
            raise SpecError(
                "parameter_not_supported",
                " ".join(mistakes[:MOST_TOLD]) + " Leave the parameter out, or set it to null for these models.",
            )


def _check_signed(received: Verified) -> None:
    """Refuse `parameters` that the job's form of signature does not cover as a whole.

    Forms C and D drop null, "" and 0 from objects before they sign: {"temperature": 0} would be dropped unseen. Lists
    are signed as they are, so the parameters of a model may have such values. Raises SpecError.
    """
    given = received.spec.get("parameters")
    if given is None or given == {} or received.form is None or received.form[0] not in "CD":
        return
    if path := unsigned_member({"parameters": given}):
        raise SpecError(
            detail=f'{path}: signatures of form {received.form[0]} do not cover null, "" and 0 in parameters. Sign the '
            "job in form jcs."
        )
