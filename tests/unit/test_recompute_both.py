"""The product's comparison and docs/recompute.py, two programs of one page: every number agrees."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from tests.comparison_exports import made_up
from tests.recompute_script import loaded

script = loaded()
EXPORTS: dict[str, dict[str, Any]] = {
    "one run": {"runs": 1, "questions": 8, "withheld": 0.4},
    "two models, facts, controls": {"models": 2, "questions": 4, "facts": True, "controls": 1, "withheld": 0.4},
    "a third is missing": {"runs": 5, "missing": 0.33, "questions": 5, "regions": 4, "facts": True},
    "a region differs": {"runs": 5, "questions": 5, "shift": 0.4},
    "ten runs": {"runs": 10, "regions": 2, "questions": 3, "missing": 0.2},
    "seven regions": {"regions": 7, "runs": 2, "questions": 2, "facts": True},
    "one region": {"regions": 1, "questions": 2},
    "nothing answered": {"missing": 2.0, "questions": 2},
    "all withheld": {"withheld": 1.0, "questions": 2},
    "only controls": {"questions": 2, "controls": 2},
}


def differences(export: dict[str, Any]) -> list[str]:
    """Return what the two programs say otherwise, one line for each."""
    told = {"state": "ready", "job_id": export["job_id"], **analyse(Material.of_export(export))}
    wrong, compared, _ = script.check(export, told)
    assert compared > 10
    return [f"{path}: {script.shown(theirs)}, recomputed {script.shown(mine)}" for path, theirs, mine in wrong]


@pytest.mark.parametrize("name", EXPORTS)
def test_both_programs_say_the_same(name: str) -> None:
    assert differences(made_up(len(name), **EXPORTS[name])) == []


# No shrinking: an example takes half a second, and every name of a difference is printed.
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 2),
    regions=st.integers(2, 4),
    questions=st.integers(1, 3),
    runs=st.integers(1, 4),
    missing=st.sampled_from([0.0, 0.2, 0.6]),
    withheld=st.sampled_from([0.0, 0.3, 0.9]),
    controls=st.integers(0, 1),
    facts=st.booleans(),
    shift=st.sampled_from([0.0, 0.5]),
)
def test_both_programs_say_the_same_of_any_job(seed: int, **job: Any) -> None:
    assert differences(made_up(seed, **job)) == []
