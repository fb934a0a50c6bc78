"""Describes the shape of a job's `parameters`, with the limits of each value."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator

from runner_core.upstreams import PARAMETERS

MAX_SEED = 2**31 - 1
LONGEST_NAME = 64  # characters of an unknown parameter's name that an error message repeats


def _integer(value: object) -> object:
    """Return 3.0 as the integer 3: JSON has one kind of number, and JSON Schema agrees."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_written(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Check a number and return it as the job has it: pydantic would send a temperature of 1 as 1.0."""
    check(value)
    return value


Integer = Annotated[int, BeforeValidator(_integer)]
_Penalty = Annotated[float, Field(ge=-2, le=2), WrapValidator(_as_written)]


class Parameters(BaseModel):
    """The parameters of requests to a model. Null: the parameter is not sent; a system_prompt of "" means none."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    temperature: Annotated[float, Field(ge=0, le=2), WrapValidator(_as_written)] | None = Field(
        None, description="a number from 0 to 2"
    )
    top_p: Annotated[float, Field(gt=0, le=1), WrapValidator(_as_written)] | None = Field(
        None, description="a number above 0, at most 1"
    )
    top_k: Annotated[Integer, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="a whole number from 1 to 1,000,000"
    )
    max_tokens: Annotated[Integer, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="a whole number from 1 to 1,000,000"
    )
    stop: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=200)]],
            Field(min_length=1, max_length=4),
        ]
        | None
    ) = Field(None, description="a list of 1 to 4 texts of 1 to 200 characters")
    presence_penalty: _Penalty | None = Field(None, description="a number from -2 to 2")
    frequency_penalty: _Penalty | None = Field(None, description="a number from -2 to 2")
    reasoning_effort: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")] | None = Field(
        None, description="a text of 1 to 32 small letters and _"
    )
    seed: Annotated[Integer, Field(ge=0, le=MAX_SEED)] | None = Field(
        None, description=f"a whole number from 0 to {MAX_SEED:,}"
    )
    system_prompt: Annotated[str, Field(max_length=8000)] | None = Field(
        None, description="a text of at most 8,000 characters"
    )

    def given(self) -> dict[str, Any]:
        """Return the parameters that the job gives, nulls among them."""
        return {name: getattr(self, name) for name in PARAMETERS if name in self.model_fields_set}


def path_of(loc: Sequence[int | str]) -> str:
    """Return a place within a job as its reader writes it: `models[2].parameters.top_k`. `loc` is pydantic's."""
    path = ""
    for before, part in zip(("", *loc), loc, strict=False):
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "model" or not isinstance(before, int):  # the word by which a list's entry is told from a name
            path += f".{part[:LONGEST_NAME]}"
    return path.removeprefix(".")


def mistake_at(loc: Sequence[int | str]) -> str | None:
    """Return the sentence about a mistake at this place; None for a place outside of `parameters`."""
    if "parameters" not in loc:
        return None
    end = list(loc).index("parameters") + 2
    name = next(iter(loc[end - 1 :]), None)
    path = path_of(loc[:end])
    if name is None:
        return f"{path} must be an object."
    if name not in PARAMETERS:
        return f"{path}: there is no such parameter; the parameters are {', '.join(PARAMETERS)}."
    return f"{path} must be {Parameters.model_fields[str(name)].description}, or null."
