"""The models of requests, with the limits of single fields. The OpenAPI description is generated from them.

A null field is treated as an absent one, but within `parameters`. Unknown fields are kept and ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import PydanticCustomError

from runner_core.errors import SpecError
from runner_core.parameter_shapes import Integer, Parameters, mistake_at

MAX_QUESTIONS = 50
MAX_MODELS = 16
MAX_REGIONS = 8
MAX_RUNS = 10
MAX_QUESTION_CHARACTERS = 8000
MAX_FACTS = 50  # of a question
MAX_FACT_CHARACTERS = 500
NANOSECONDS = 1_000_000_000
# A timeout is in nanoseconds. A smaller value was meant as seconds or milliseconds; a larger one than a day would block
# the queue.
MIN_TIMEOUT, MAX_TIMEOUT = NANOSECONDS // 1000, 86_400 * NANOSECONDS

# Fields for which empty or null counts as missing.
_REQUIRED = frozenset(
    {
        "benchmark",
        "benchmark.name",
        "benchmark.container",
        "benchmark.container.image",
        "benchmark.input",
        "benchmark.input.hash",
        "constraints",
        "constraints.regions",
    }
)


M = TypeVar("M", bound=BaseModel)


def _addressable(name: str) -> str:
    """Refuse a job id that can't be part of a URL."""
    if name == "cross-region" or (name and not name.strip(".")):
        raise PydanticCustomError(
            "job_id", "an id can't be cross-region or dots alone, because no URL can name such a job"
        )
    return name


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,255}$")]
# Clients remove segments of dots from a URL (RFC 3986, 5.2.4), and /jobs/cross-region is an address of its own.
JobId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._:-]{0,255}$", description="empty or absent: the API makes an id"),
    AfterValidator(_addressable),
]
Text = Annotated[str, Field(min_length=1)]
Label = Annotated[str, Field(max_length=255)]
Rate = Annotated[float, Field(ge=0, le=1)]
Timeout = Annotated[Integer, Field(ge=MIN_TIMEOUT, le=MAX_TIMEOUT, description="nanoseconds")]
RegionNames = Annotated[list[Text], Field(max_length=MAX_REGIONS)]


class _Received(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="allow")


class Container(_Received):
    """The image that the benchmark was built from. It is recorded, not run."""

    image: Text
    tag: str | None = None
    resources: dict[str, Any] | None = None


class BenchmarkInput(_Received):
    """The benchmark's input; `data.prompt` is asked when the job has no questions."""

    type: str | None = None
    data: Any = None
    hash: Text


class Benchmark(_Received):
    """The benchmark: its name, its image, its input."""

    name: Text
    version: str | None = None
    description: str | None = None
    container: Container
    input: BenchmarkInput
    scoring: Any = None
    metadata: Any = None


class Constraints(_Received):
    """Where the job runs, when it counts as a success, and how long it may take."""

    regions: Annotated[RegionNames, Field(min_length=1)]
    min_regions: Annotated[Integer, Field(ge=1)] | None = None
    min_success_rate: Rate | None = None
    timeout: Timeout | None = None
    provider_timeout: Timeout | None = None


class Model(_Received):
    """A model; with `regions` it runs only there. Its `parameters` come before the job's, member by member."""

    id: Id
    name: str | None = None
    provider: str | None = None
    regions: RegionNames | None = None
    parameters: Parameters | None = None


def _model_kind(value: object) -> str:
    return "id" if isinstance(value, str) else "model"


AnyModel = Annotated[Annotated[Id, Tag("id")] | Annotated[Model, Tag("model")], Discriminator(_model_kind)]
Models = Annotated[list[AnyModel], Field(max_length=MAX_MODELS)]


class AnalysisWishes(BaseModel):
    """What the job fixes for its comparison. A question is named by its id, or by its text.

    `controls`: the questions that should be answered alike everywhere; they take the place of the regions file's.
    `facts`: what answers to a question should name; the alternatives of a fact are joined by "|".
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    controls: Annotated[list[Text], Field(max_length=MAX_QUESTIONS)] | None = None
    facts: (
        Annotated[
            dict[
                str,
                Annotated[
                    list[Annotated[str, Field(min_length=1, max_length=MAX_FACT_CHARACTERS)]],
                    Field(max_length=MAX_FACTS),
                ],
            ],
            Field(max_length=MAX_QUESTIONS),
        ]
        | None
    ) = None


class Metadata(_Received):
    """The client's data about the job. Timestamp and nonce protect the job against being sent again by others."""

    models: Models | None = None
    model: Label | None = None
    timestamp: str | None = None
    nonce: Label | None = None
    created_by: Label | None = None
    analysis: AnalysisWishes | None = None


class JobSpec(_Received):
    """A signed job: the same questions to several models in several regions."""

    id: JobId | None = None
    jobspec_id: JobId | None = None
    version: Annotated[str, Field(description="empty or absent: benchmark.version is used")] | None = None
    benchmark: Benchmark
    constraints: Constraints
    questions: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARACTERS)]],
            Field(max_length=MAX_QUESTIONS),
        ]
        | None
    ) = None
    models: Models | None = None
    parameters: Parameters | None = None
    metadata: Metadata | None = None
    runs: Annotated[Integer, Field(ge=1, le=MAX_RUNS)] | None = None
    created_at: str | None = None
    wallet_auth: Any = None
    signature: str | None = None
    public_key: str | None = None

    def declared_version(self) -> str:
        """Return the job's version, else the benchmark's: the original portal signs jobs without their own version.

        Raises SpecError missing_field:version.
        """
        if version := self.version or self.benchmark.version:
            return version
        raise SpecError("missing_field:version", "version is required, at the top or as benchmark.version.")


class Wrapper(_Received):
    """The members of a cross-region request beside the job. They may tighten the signed conditions, not loosen them."""

    target_regions: Annotated[RegionNames, Field(min_length=1)] | None = None
    min_regions: Annotated[Integer, Field(ge=1)] | None = None
    min_success_rate: Rate | None = None
    enable_analysis: bool | None = None

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "Wrapper":
        """Return the wrapper's fields of a request body. Raises SpecError."""
        return validated(cls, {name: body[name] for name in cls.model_fields if name in body})


class CrossRegionRequest(Wrapper):
    """The body of a cross-region submission."""

    jobspec: JobSpec


def validated(kind: type[M], received: Mapping[str, Any]) -> M:
    """Return the received object as a model. Raises SpecError missing_field:<name> or validation_error."""
    try:
        return kind.model_validate(received)
    except ValidationError as error:
        raise _spec_error(error) from None


def _spec_error(error: ValidationError) -> SpecError:
    """Return an error with the first ten mistakes, without received values. Its code names the first missing field."""
    missing = ""
    texts = []
    for mistake in error.errors(include_url=False, include_context=False):
        path = ".".join(str(part) for part in mistake["loc"])
        if sentence := mistake_at(mistake["loc"]):
            texts.append(sentence)
        elif mistake["type"] == "missing" or (path in _REQUIRED and mistake["input"] in (None, "", [])):
            missing = missing or path.rpartition(".")[2]
            texts.append(f"{path} is required.")
        else:
            texts.append(f"{path}: {mistake['msg']}.")
    return SpecError(f"missing_field:{missing}" if missing else None, " ".join(texts[:10]))
