"""The form's values for submitting a job again."""

import json
from dataclasses import replace
from typing import Any

import pytest

from runner_api.views.resubmission import Again, again
from runner_core.regions import Catalogue, load_catalogue
from tests.integration.api_client import unsigned


@pytest.fixture
def catalogue(tmp_path: Any) -> Catalogue:
    path = tmp_path / "regions.toml"
    provider = '[[providers]]\nid = "{0}-{1}"\nregion = "{1}"\nkind = "sandbox"\nmodels = {{ {0} = "simulated" }}\n'
    regions = "".join(f"[regions.{region}]\n" for region in ("US", "EU"))
    providers = "".join(provider.format(model, region) for model in ("m1", "m2") for region in ("US", "EU"))
    path.write_text(f'default_model = "m1"\n[questions]\nq1 = "One?"\nq2 = "Two?"\n{regions}{providers}')
    return load_catalogue(str(path), allow_sandbox=True, env={})


def made(catalogue: Catalogue, plan: dict[str, list[str]] | None = None, **spec: Any) -> tuple[Again, dict[str, Any]]:
    found = again("job-1", unsigned(**spec), plan or {"US": ["m1"], "EU": ["m1"]}, catalogue)
    return found, json.loads(found.base)


def test_what_the_form_shows(catalogue: Catalogue) -> None:
    found, _ = made(
        catalogue,
        {"US": ["m1", "m2"], "EU": ["m1"]},
        questions=["q2", "Mine?\nIn two lines.", "q1"],
        models=["m1", {"id": "m2", "regions": ["US"]}],
        runs=3,
        constraints={"regions": ["US", "EU"], "min_regions": 2, "timeout": 300_000_000_000},
    )
    assert found.questions == {"q1", "q2"}
    assert found.own == [(1, "Mine?\nIn two lines.")]
    assert found.models == {"m1", "m2"}
    assert found.only == {"m2": ["US"]}
    assert found.regions == {"US", "EU"}
    assert (found.runs, found.min_regions, found.minutes) == (3, 2, 5)
    assert (found.kept, found.gone) == ([], [])


def test_what_it_keeps_without_a_field(catalogue: Catalogue) -> None:
    found, base = made(
        catalogue,
        parameters={"temperature": 0.2},
        models=[{"id": "m1", "parameters": {"top_p": 0.5}}],
        constraints={"regions": ["US"], "provider_timeout": 5_000_000_000},
        metadata={"analysis": {"controls": ["q1"]}, "nonce": "n", "timestamp": "t", "created_by": "me"},
        wallet_auth={"x": 1},
        id="job-1",
    )
    assert found.kept == ["parameters", "constraints.provider_timeout", "metadata.analysis", "the parameters of m1"]
    assert base["metadata"] == {"analysis": {"controls": ["q1"]}}
    assert base["models"] == [{"id": "m1", "parameters": {"top_p": 0.5}}]
    assert not {"id", "signature", "public_key", "wallet_auth", "created_at"} & base.keys()


def test_models_in_the_metadata_and_none_at_all(catalogue: Catalogue) -> None:
    for metadata in ({"models": ["m1"]}, {"model": "m1"}):
        _, base = made(catalogue, models=None, metadata=metadata)
        assert base["models"] == [{"id": "m1"}]
        assert base["metadata"] == {}
    found, base = made(catalogue, models=None)
    assert base["models"] == []
    assert found.models == {"m1"}, "the plan says what was asked"


def test_a_prompt(catalogue: Catalogue) -> None:
    given = {"name": "n", "container": {"image": "i"}, "input": {"hash": "h", "data": {"prompt": "q1"}}}
    found, base = made(catalogue, questions=None, benchmark=given)
    assert found.prompt == "One?"
    assert base["benchmark"] == given


def test_what_is_not_here_any_more(catalogue: Catalogue) -> None:
    found, _ = made(catalogue, {"US": ["m1", "old"], "MOON": ["m1"]}, models=["m1", {"id": "old", "regions": ["US"]}])
    assert found.gone == ["the model old", "the region MOON"]
    assert found.models == {"m1"}
    assert found.regions == {"US"}


def test_a_model_that_has_left_all_its_regions_is_asked_nowhere_else(catalogue: Catalogue) -> None:
    elsewhere = replace(catalogue, regions={**catalogue.regions, "ASIA": catalogue.regions["US"]})
    found, _ = made(elsewhere, {"ASIA": ["m1"]}, models=[{"id": "m1", "regions": ["ASIA"]}])
    assert found.only == {"m1": []}
    assert found.gone == ["m1 in ASIA"]
