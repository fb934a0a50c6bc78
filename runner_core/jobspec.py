"""Checks a submitted job and makes its plan. No I/O.

The signature was verified before anything here runs; only the parsing of the JSON comes earlier.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from runner_core.errors import SpecError
from runner_core.job_analysis import fixed_analysis
from runner_core.job_parameters import JobParameters
from runner_core.job_shapes import (
    MAX_QUESTION_CHARACTERS,
    NANOSECONDS,
    Constraints,
    JobSpec,
    Metadata,
    Wrapper,
    validated,
)
from runner_core.regions import PROMPT_ID, Catalogue
from runner_core.signing import Verified, canonical
from runner_core.strict_json import member_bytes

MAX_CALLS = 2000
MAX_NAME_CHARACTERS = 200  # of a job's name in lists; fill_jobs cuts at the same
DEFAULT_MIN_REGIONS = 1
DEFAULT_MIN_SUCCESS_RATE = 0.67
DEFAULT_TIMEOUT = 600 * NANOSECONDS
DEFAULT_PROVIDER_TIMEOUT = 300 * NANOSECONDS

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Question:
    """One text to ask. `id` is the catalogue's id, or `prompt` in a job without questions, or made from a free text."""

    id: str
    text: str


@dataclass(frozen=True)
class Submission:
    """A valid job with its plan. `plan` is region -> models, in the order of the job.

    `spec_raw` are the job's bytes. `spec` has the benchmark's version if the job has no top-level version.
    `digest` (32 bytes) is equal for a repeat of the same request and different for any other request.
    `analysis`: {"controls": [..], "facts": {..}} of the comparison; None if there are none.
    `name`: the benchmark's, cut at MAX_NAME_CHARACTERS.
    `parameters`: {"job": {..}, "models": {"id": {..}}} as asked, nulls among them; None if the job gives none.
    """

    job_id: str
    spec: dict[str, Any]
    spec_raw: bytes
    plan: dict[str, list[str]]
    questions: list[Question]
    runs: int
    min_regions: int
    min_success_rate: Decimal
    timeout_seconds: float
    provider_timeout_seconds: float
    enable_analysis: bool | None
    digest: bytes
    public_key: str | None
    signature_form: str | None
    nonce: str | None
    created_by: str | None
    parameters: dict[str, Any] | None = None
    analysis: dict[str, Any] | None = None
    name: str = ""

    @property
    def calls(self) -> int:
        """Return the number of calls that the job plans."""
        return sum(map(len, self.plan.values())) * len(self.questions) * self.runs


def split_wrapper(raw: bytes, body: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return the job of a cross-region request, and the job's exact bytes. `body` is the parsed `raw`.

    Raises SpecError missing_field:jobspec or validation_error.
    """
    spec = body.get("jobspec")
    if spec is None:
        raise SpecError("missing_field:jobspec", "jobspec is required.")
    if not isinstance(spec, dict):
        raise SpecError(detail="jobspec must be an object.")
    return spec, member_bytes(raw, "jobspec")


def plan_job(
    received: Verified, catalogue: Catalogue, wrapper: Wrapper | None = None, *, raw: bytes | None = None
) -> Submission:
    """Check a job and make its plan from the catalogue.

    `raw` are the bytes of the job as received; without them the job is encoded again. Raises SpecError:
    validation_error, missing_field:<name>, unknown_region, no_provider, parameter_not_supported.
    """
    spec = received.spec
    job = validated(JobSpec, received.fields)
    metadata = job.metadata or Metadata()
    parameters = JobParameters.of(received, job, metadata)
    wrapper = wrapper or Wrapper()
    signed = job.constraints
    regions = _narrowed_regions(signed, wrapper, catalogue)
    plan = _plan(job, metadata, regions, catalogue)
    parameters.check_taken(plan, catalogue)
    version = job.declared_version()
    min_regions = _narrowed("min_regions", signed.min_regions, wrapper.min_regions) or DEFAULT_MIN_REGIONS
    if min_regions > len(plan):
        raise SpecError(detail=f"min_regions is {min_regions}, but the job runs in {len(plan)} regions.")
    rate = _narrowed("min_success_rate", signed.min_success_rate, wrapper.min_success_rate)
    rate = DEFAULT_MIN_SUCCESS_RATE if rate is None else rate
    questions = _questions(job, version, catalogue)
    submission = Submission(
        job_id=_job_id(job),
        spec=spec if job.version else spec | {"version": version},
        spec_raw=json.dumps(spec, ensure_ascii=False).encode() if raw is None else raw,
        plan=plan,
        questions=questions,
        runs=job.runs or 1,
        min_regions=min_regions,
        min_success_rate=Decimal(
            repr(rate)
        ),  # a decimal, so that binary rounding does not decide whether 2 of 3 reaches 0.67
        timeout_seconds=(signed.timeout or DEFAULT_TIMEOUT) / NANOSECONDS,
        provider_timeout_seconds=(signed.provider_timeout or DEFAULT_PROVIDER_TIMEOUT) / NANOSECONDS,
        enable_analysis=wrapper.enable_analysis,
        digest=_digest(received.content, plan, min_regions, rate),
        public_key=received.public_key,
        signature_form=received.form,
        nonce=metadata.nonce or None,
        created_by=metadata.created_by or None,
        parameters=parameters.stored,
        name=job.benchmark.name[:MAX_NAME_CHARACTERS],
        analysis=fixed_analysis(metadata.analysis, {q.id: q.text for q in questions}, catalogue.controls),
    )
    if submission.calls > MAX_CALLS:
        raise SpecError(detail=f"The job asks for {submission.calls} calls, the limit is {MAX_CALLS}.")
    return submission


def _job_id(job: JobSpec) -> str:
    if job.id and job.jobspec_id and job.id != job.jobspec_id:
        raise SpecError(detail="id and jobspec_id differ.")
    return job.id or job.jobspec_id or f"job-{uuid.uuid4()}"


def _narrowed(name: str, signed: N | None, asked: N | None) -> N | None:
    """Return the wrapper's value if it is stricter than the signed value; if only one is set, return that one."""
    if asked is None or signed is None:
        return signed if asked is None else asked
    if asked < signed:
        raise SpecError(detail=f"{name} is below the {signed} that the job was signed with.")
    return asked


def _narrowed_regions(signed: Constraints, wrapper: Wrapper, catalogue: Catalogue) -> list[str]:
    regions = _canonical(signed.regions, catalogue)
    if wrapper.target_regions is None:
        return regions
    targets = _canonical(wrapper.target_regions, catalogue)
    if wider := [name for name in targets if name not in regions]:
        raise SpecError(detail=f"target_regions has {', '.join(wider)}, which the job was not signed for.")
    return [name for name in regions if name in targets]


def _canonical(names: Iterable[str], catalogue: Catalogue) -> list[str]:
    """Return the catalogue's names of the regions, each once. Raises SpecError unknown_region."""
    found: dict[str, None] = {}
    for name in names:
        region = catalogue.canonical_region(name)
        if region is None:
            raise SpecError(
                "unknown_region", f"There is no region {name[:64]!r}; the regions are {', '.join(catalogue.regions)}."
            )
        found[region] = None
    return list(found)


def _plan(job: JobSpec, metadata: Metadata, regions: list[str], catalogue: Catalogue) -> dict[str, list[str]]:
    """Return the models of each region. A model that is listed twice runs once in each region of either entry."""
    plan: dict[str, list[str]] = {region: [] for region in regions}
    for model in job.models or metadata.models or [metadata.model or catalogue.default_model]:
        model_id, own = (model, None) if isinstance(model, str) else (model.id, model.regions)
        places = [region for region in _canonical(own or regions, catalogue) if region in plan]
        if not places:
            raise SpecError(detail=f"The model {model_id} may not run in any of the job's regions.")
        for region in places:
            if model_id not in plan[region]:
                plan[region].append(model_id)
    if idle := [region for region, models in plan.items() if not models]:
        raise SpecError(detail=f"No model of the job runs in {', '.join(idle)}.")
    pairs = [(model_id, region) for region, models in plan.items() for model_id in models]
    if lost := [
        f"{model_id} in {region}" for model_id, region in pairs if not catalogue.provider_for(region, model_id)
    ]:
        raise SpecError("no_provider", f"No provider is configured for {', '.join(lost)}.")
    return plan


def _questions(job: JobSpec, version: str, catalogue: Catalogue) -> list[Question]:
    """Return the questions to ask, each once."""
    if job.questions:
        return list({question.id: question for question in (_question(t, catalogue) for t in job.questions)}.values())
    if version == "v1" and "bias" in job.benchmark.name.lower():
        raise SpecError("missing_field:questions", "A v1 bias benchmark needs questions.")
    data = job.benchmark.input.data
    prompt = data.get("prompt") if isinstance(data, dict) else None
    if prompt is None or prompt == "":
        raise SpecError("missing_field:prompt", "A job without questions needs benchmark.input.data.prompt.")
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_QUESTION_CHARACTERS:
        raise SpecError(
            detail=f"benchmark.input.data.prompt must be 1 to {MAX_QUESTION_CHARACTERS} characters of text."
        )
    return [Question(PROMPT_ID, catalogue.questions.get(prompt, prompt))]


def _question(text: str, catalogue: Catalogue) -> Question:
    if text in catalogue.questions:
        return Question(text, catalogue.questions[text])
    if not text.strip():
        raise SpecError(detail="A question is blank.")
    # The id depends on the text alone, so that answers to the same text can be compared across jobs.
    return Question(f"text-{hashlib.sha256(text.encode()).hexdigest()[:16]}", text)


def _digest(content: bytes, plan: dict[str, list[str]], min_regions: int, rate: float) -> bytes:
    """Return the SHA-256 that tells a repeated submission from another one with the same id.

    `content` is the canonical JSON of the job without its signature; the plan and the two limits stand before it.
    """
    head = canonical({"min_regions": min_regions, "min_success_rate": rate, "plan": plan})
    return hashlib.sha256(head[:-1] + b',"spec":' + content + b"}").digest()
