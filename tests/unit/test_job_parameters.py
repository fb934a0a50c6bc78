"""The parameters of a job: where they stand, what is signed, and what a provider does not take."""

from typing import Any

import pytest

from runner_core.errors import SpecError
from runner_core.jobspec import plan_job
from runner_core.regions import Catalogue
from runner_core.signing import Verified, unsigned_member
from tests.unit import planning
from tests.unit.planning import CATALOGUE, job, plan, refused

WARM, COLD = {"temperature": 1}, {"temperature": None}


def without(*names: str, region: str = "EU") -> Catalogue:
    """The catalogue, in which the providers of one region do not take these parameters."""
    return planning.without(CATALOGUE, *names, region=region)


def refused_by(catalogue: Catalogue, spec: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(SpecError) as caught:
        plan_job(Verified.of(spec, None), catalogue)
    return caught.value.code, caught.value.detail


class TestWhatIsKept:
    def test_a_job_without_parameters_has_none(self) -> None:
        assert plan(job(models=["m0", {"id": "m1"}])).parameters is None

    def test_those_of_the_job_and_of_each_model(self) -> None:
        models = [{"id": "m0", "parameters": COLD | {"seed": 7}}, "m1", {"id": "m2", "parameters": {}}]
        found = plan(job(parameters=WARM | {"top_p": None}, models=models)).parameters
        assert found == {"job": WARM | {"top_p": None}, "models": {"m0": COLD | {"seed": 7}}}

    def test_those_of_the_models_in_metadata_where_the_job_has_no_list(self) -> None:
        listed = {"models": [{"id": "m1", "parameters": WARM}]}
        assert plan(job(metadata=listed)).parameters == {"job": {}, "models": {"m1": WARM}}
        assert plan(job(metadata=listed, models=["m1"])).parameters is None

    def test_a_model_that_is_listed_twice_has_the_same_parameters(self) -> None:
        twice = [
            {"id": "m1", "regions": ["EU"], "parameters": WARM},
            {"id": "m1", "regions": ["US"], "parameters": WARM},
        ]
        assert plan(job(models=twice)).parameters == {"job": {}, "models": {"m1": WARM}}
        told = "models[1].parameters: the model m1 is listed twice, with different parameters."
        for second in ({"temperature": 0.5}, {}, None, COLD, WARM | {"seed": 1}):
            models = [{"id": "m1", "parameters": WARM}, {"id": "m1", "parameters": second}]
            assert refused(job(models=models)) == ("validation_error", told)
        assert refused(job(models=[{"id": "m1", "parameters": WARM}, "m1"])) == ("validation_error", told)
        assert refused(job(metadata={"models": ["m1", {"id": "m1", "parameters": WARM}]}))[1].startswith(
            "metadata.models[1]."
        )

    def test_the_digest_covers_them(self) -> None:
        specs = [
            job(models=["m1"]),
            job(models=["m1"], parameters={}),
            job(models=["m1"], parameters=WARM),
            job(models=["m1"], parameters=COLD),
            job(models=["m1"], parameters=WARM | COLD),
            job(models=[{"id": "m1", "parameters": WARM}]),
        ]
        assert len({plan(spec).digest for spec in specs}) == len(specs) - 1, "the fifth is the fourth"


class TestSignedForms:
    """Forms C and D leave null, "" and 0 out of objects before they sign, so that nobody has signed them."""

    @pytest.mark.parametrize("form", ["C", "D", "C+go", "D+go"])
    @pytest.mark.parametrize(
        ("given", "path"),
        [
            ({"temperature": 0}, "parameters.temperature"),
            ({"temperature": -0.0}, "parameters.temperature"),
            ({"top_p": 0.5, "seed": 0}, "parameters.seed"),
            ({"max_tokens": None}, "parameters.max_tokens"),
            ({"system_prompt": ""}, "parameters.system_prompt"),
            ({"unknown": ""}, "parameters.unknown"),
            ({"unknown": {"deeper": None}}, "parameters.unknown.deeper"),
            ({"unknown": {}}, "parameters.unknown"),
            ("", "parameters"),
            (0, "parameters"),
        ],
    )
    def test_what_is_not_signed_is_refused(self, form: str, given: Any, path: str) -> None:
        code, detail = refused(job(parameters=given), signature_form=form)
        assert code == "validation_error"
        assert detail.startswith(f"{path}: signatures of form {form[0]} do not cover null")

    @pytest.mark.parametrize("form", ["C", "D"])
    @pytest.mark.parametrize("given", [{"temperature": 0.1, "stop": ["x"], "seed": 1}, {}, None])
    def test_what_is_signed_is_taken(self, form: str, given: Any) -> None:
        found = plan(job(parameters=given), signature_form=form).parameters
        assert found == ({"job": given, "models": {}} if given else None)

    @pytest.mark.parametrize("form", ["C", "D"])
    def test_the_parameters_of_a_model_are_signed_as_they_are(self, form: str) -> None:
        given = {"temperature": 0, "max_tokens": None, "system_prompt": ""}
        models = [{"id": "m1", "parameters": given}]
        assert plan(job(models=models), signature_form=form).parameters == {"job": {}, "models": {"m1": given}}
        assert plan(job(metadata={"models": models}), signature_form=form).parameters == {
            "job": {},
            "models": {"m1": given},
        }

    @pytest.mark.parametrize("form", ["jcs", "B", "jcs+go", None])
    def test_other_forms_sign_everything(self, form: str | None) -> None:
        given = {"temperature": 0, "max_tokens": None, "system_prompt": ""}
        assert plan(job(parameters=given), signature_form=form).parameters == {"job": given, "models": {}}

    def test_a_list_is_signed_as_it_is(self) -> None:
        assert unsigned_member({"a": [None, 0, "", {"b": None}], "c": False, "d": {"e": 1}}) is None
        assert unsigned_member({"a": 1, "d": {"e": 0}}) == "d.e"


class TestWhatAProviderTakes:
    def test_a_value_that_it_does_not_take_is_refused_with_path_region_and_provider(self) -> None:
        code, detail = refused_by(without("temperature", "top_k"), job(parameters=WARM | {"top_k": 5}))
        assert code == "parameter_not_supported"
        assert detail == (
            "parameters.temperature: the provider p-eu in EU does not take it. "
            "parameters.top_k: the provider p-eu in EU does not take it. "
            "Leave the parameter out, or set it to null for these models."
        )

    def test_a_models_own_value_is_told_by_its_own_path(self) -> None:
        spec = job(models=["m0", {"id": "m1", "parameters": WARM}], parameters={"seed": 1})
        assert refused_by(without("temperature"), spec)[1].startswith(
            "models[1].parameters.temperature: the provider p-eu"
        )
        assert "parameters.seed: the provider p-us in US" in refused_by(without("seed", region="US"), spec)[1]
        listed = job(metadata={"models": [{"id": "m1", "parameters": WARM}]})
        assert refused_by(without("temperature"), listed)[1].startswith("metadata.models[0].parameters.temperature: ")

    def test_a_null_of_the_model_takes_the_jobs_value_away(self) -> None:
        spec = job(parameters=WARM, models=[{"id": "m1", "parameters": COLD}])
        assert plan_job(Verified.of(spec, None), without("temperature")).parameters is not None

    @pytest.mark.parametrize("given", [None, {}, COLD, {"system_prompt": ""}, {"seed": None}, {"top_p": 0.5}])
    def test_defaults_nulls_and_no_system_prompt_are_no_values(self, given: Any) -> None:
        catalogue = without("temperature", "max_tokens", "seed", "system_prompt")
        assert plan_job(Verified.of(job(parameters=given), None), catalogue).plan

    def test_a_system_prompt_is_one(self) -> None:
        spec = job(parameters={"system_prompt": "Be brief."})
        assert refused_by(without("system_prompt"), spec)[0] == "parameter_not_supported"

    def test_a_region_that_the_job_does_not_plan_does_not_count(self) -> None:
        assert plan_job(Verified.of(job(parameters=WARM), None), without("temperature", region="ASIA")).plan

    def test_a_long_list_is_cut(self) -> None:
        spec = job(parameters=WARM, models=[f"m{n}" for n in range(16)])
        assert refused_by(without("temperature"), spec)[1].count("p-eu in EU") == 10
