"""Members that look like parameters and stand where nothing reads them are told, each by its path."""

from typing import Any

import pytest

from runner_core.ignored_fields import ALIASES, ignored_fields
from runner_core.job_shapes import JobSpec, Metadata, Model, Wrapper
from runner_core.upstreams import PARAMETERS
from tests.unit.planning import FIELD, job


@pytest.mark.parametrize("name", [*PARAMETERS, *ALIASES])
def test_each_name_is_told_in_each_place(name: str) -> None:
    spec = job(
        **{name: 1}, metadata={name: 2, "models": ["m1", {"id": "m2", name: 3}]}, models=[{"id": "m0", name: "x"}]
    )
    paths = ["", "metadata.", "metadata.models[1].", "models[0]."]
    assert ignored_fields(spec) == sorted(f"{path}{name}" for path in paths)
    assert ignored_fields(job(), {"jobspec": {}, name: 0}) == [f"wrapper.{name}"]


def test_no_field_of_a_job_is_told() -> None:
    fields = {name for shape in (JobSpec, Metadata, Model, Wrapper) for name in shape.model_fields}
    assert not fields & {*PARAMETERS, *ALIASES}
    known = job(parameters={"temperature": 1}, models=[{"id": "m1", "parameters": {"seed": 1}}], created_at="x")
    assert ignored_fields(known, {"jobspec": known, "target_regions": ["US"], "enable_analysis": True}) == []
    assert ignored_fields(FIELD["spec"]) == []


def test_parameters_are_told_where_they_are_not_read() -> None:
    assert ignored_fields(job(metadata={"parameters": {}})) == ["metadata.parameters"]
    assert ignored_fields(job(), {"parameters": {"seed": 1}}) == ["wrapper.parameters"]
    listed = {"models": [{"id": "m1", "parameters": {"seed": 1}}]}
    assert ignored_fields(job(metadata=listed)) == []
    assert ignored_fields(job(metadata=listed, models=[])) == []
    assert ignored_fields(job(metadata=listed, models=["m1"])) == ["metadata.models[0].parameters"]


def test_a_null_in_the_wrong_place_is_told() -> None:
    """Whoever writes it wants no temperature to be sent, and 0.1 is sent."""
    spec = job(temperature=None, models=[{"id": "m1", "seed": None}])
    assert ignored_fields(spec) == ["models[0].seed", "temperature"]


@pytest.mark.parametrize("fields", [{"note": 1}, {"benchmark__temperature": 1}, {"models": None}])
def test_other_members_are_not_told(fields: dict[str, Any]) -> None:
    assert ignored_fields(job(**fields)) == []


@pytest.mark.parametrize("odd", [{"metadata": None}, {"metadata": {"models": None}}, {"models": ["m1", {"id": "m2"}]}])
def test_a_job_of_any_shape_is_looked_at(odd: dict[str, Any]) -> None:
    assert ignored_fields(job(**odd, temperature=0)) == ["temperature"]
