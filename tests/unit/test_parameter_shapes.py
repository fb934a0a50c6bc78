"""The values that `parameters` may have: each limit at its edge, and the sentence about a value beyond it."""

from typing import Any

import pytest

from runner_core.upstreams import PARAMETERS
from tests.unit.planning import job, plan, refused

ALLOWED = [
    ("temperature", [0, 0.0, 0.1, 1, 2, 2.0, None]),
    ("top_p", [0.0001, 0.5, 1, 1.0, None]),
    ("top_k", [1, 40.0, 1_000_000, None]),
    ("max_tokens", [1, 500.0, 1_000_000, None]),
    ("stop", [["x"], ["a", "b", "c", "x" * 200], None]),
    ("presence_penalty", [-2, 0, 2, None]),
    ("frequency_penalty", [-2.0, 0.5, 2, None]),
    ("reasoning_effort", ["low", "x_high", "a" * 32, None]),
    ("seed", [0, 7.0, 2**31 - 1, None]),
    ("system_prompt", ["", "Be brief.", "\u00e9" * 8000, None]),
]
REFUSED = [
    ("temperature", [-0.1, 2.1, 3, "1", True, [1], {}, ""]),
    ("top_p", [0, -1, 1.01, "1", False]),
    ("top_k", [0, 1_000_001, 1.5, "1", True]),
    ("max_tokens", [0, -1, 1_000_001, 0.5, 1e300, "500", True]),
    ("stop", [[], ["a"] * 5, [""], ["x" * 201], [1], "x", {"a": 1}]),
    ("presence_penalty", [-2.01, 2.01, "0", True]),
    ("frequency_penalty", [-3, 3, "0", False]),
    ("reasoning_effort", ["", "High", "very low", "a" * 33, 1, "low\n"]),
    ("seed", [-1, 2**31, 0.5, "7", True]),
    ("system_prompt", ["x" * 8001, 1, ["x"], False]),
]
PLACES = [
    ("parameters", lambda given: job(parameters=given)),
    ("models[2].parameters", lambda given: job(models=["m0", {"id": "m1"}, {"id": "m2", "parameters": given}])),
    ("metadata.models[0].parameters", lambda given: job(metadata={"models": [{"id": "m0", "parameters": given}]})),
]


def test_every_parameter_is_tried() -> None:
    assert tuple(name for name, _ in ALLOWED) == tuple(name for name, _ in REFUSED) == PARAMETERS


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ALLOWED for value in values])
def test_an_allowed_value_is_kept_as_it_is_written(name: str, value: Any) -> None:
    found = plan(job(parameters={name: value})).parameters
    assert found == {"job": {name: value}, "models": {}}
    whole = name in ("top_k", "max_tokens", "seed")
    assert type(found["job"][name]) is (int if whole and value is not None else type(value))


@pytest.mark.parametrize(("place", "spec_with"), PLACES)
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED for value in values])
def test_any_other_value_is_refused_with_its_path(name: str, value: Any, place: str, spec_with: Any) -> None:
    code, detail = refused(spec_with({name: value}))
    assert code == "validation_error"
    assert detail.startswith(f"{place}.{name} must be a")
    assert detail.endswith(", or null.")


@pytest.mark.parametrize(("place", "spec_with"), PLACES)
def test_an_unknown_name_is_refused_with_its_path(place: str, spec_with: Any) -> None:
    code, detail = refused(spec_with({"tempurature": 1}))
    assert code == "validation_error"
    assert detail.startswith(f"{place}.tempurature: there is no such parameter; the parameters are temperature, top_p,")
    assert len(refused(spec_with({"x" * 100_000: 1}))[1]) < 400


@pytest.mark.parametrize(("place", "spec_with"), PLACES)
@pytest.mark.parametrize("value", [[], "", 0, True, "temperature"])
def test_parameters_are_an_object(place: str, spec_with: Any, value: Any) -> None:
    assert refused(spec_with(value)) == ("validation_error", f"{place} must be an object.")


@pytest.mark.parametrize(("place", "spec_with"), PLACES)
@pytest.mark.parametrize("value", [None, {}])
def test_no_parameters_are_none(place: str, spec_with: Any, value: Any) -> None:
    assert place
    assert plan(spec_with(value)).parameters is None


def test_all_mistakes_are_told_together_and_no_value_is_repeated() -> None:
    _, detail = refused(job(parameters={"seed": "secret", "stop": ["secret" * 99]}, runs="3"))
    assert [sentence.split()[0] for sentence in detail.split(". ")] == ["parameters.stop", "parameters.seed", "runs:"]
    assert "secret" not in detail
