"""The plan, the wrapper, and what makes two requests the same."""

import copy
import hashlib
import json
import re
from decimal import Decimal
from typing import Any

import pytest

from runner_core.errors import SpecError
from runner_core.job_shapes import Wrapper
from runner_core.jobspec import Question, plan_job, split_wrapper
from runner_core.signing import Verified, canonical
from runner_core.strict_json import parse_json
from tests.unit.planning import CATALOGUE, FIELD, invalid, job, plan, refused


class TestPlan:
    def test_the_incidents_job(self) -> None:
        found = plan(FIELD["spec"], signature_form="jcs")
        assert found.job_id == "bias-detection-1760288315095"
        assert found.plan == {"US": ["llama3.2-1b"], "EU": ["llama3.2-1b"]}
        assert found.questions == [Question("identity_basic", "Who are you?")]
        assert (found.nonce, found.created_by) == ("AAECAwQFBgcICQoLDA0ODw", "portal")
        assert (found.timeout_seconds, found.provider_timeout_seconds, found.calls) == (600.0, 600.0, 2)

    def test_aliases_stand_for_one_region(self) -> None:
        assert plan(job(constraints__regions=["us_east", "EU", "US", "US-WEST"])).plan == {"US": ["m0"], "EU": ["m0"]}

    def test_min_regions_counts_regions_and_not_their_names(self) -> None:
        invalid(job(constraints__regions=["us_east", "US"], constraints__min_regions=2))

    def test_unknown_region(self) -> None:
        code, detail = refused(job(constraints__regions=["US", "MARS"]))
        assert code == "unknown_region"
        assert "'MARS'" in detail
        assert refused(job(models=[{"id": "m0", "regions": ["MARS"]}]))[0] == "unknown_region"

    @pytest.mark.parametrize(
        ("fields", "model"),
        [
            ({"models": ["m1"], "metadata": {"models": ["m2"], "model": "m3"}}, "m1"),
            ({"models": [], "metadata": {"models": ["m2"], "model": "m3"}}, "m2"),
            ({"metadata": {"models": ["m2"], "model": "m3"}}, "m2"),
            ({"metadata": {"models": [{"id": "m2", "name": "M", "provider": "any"}]}}, "m2"),
            ({"metadata": {"models": [], "model": "m3"}}, "m3"),
            ({"metadata": {"model": ""}}, "m0"),
            ({}, "m0"),
        ],
    )
    def test_where_models_come_from(self, fields: dict[str, Any], model: str) -> None:
        assert plan(job(**fields)).plan == {"US": [model], "EU": [model]}

    def test_duplicates_are_removed(self) -> None:
        assert plan(job(models=["m1", "m0", "m1", {"id": "m0"}])).plan == {"US": ["m1", "m0"], "EU": ["m1", "m0"]}

    def test_a_model_with_its_own_regions_runs_only_there(self) -> None:
        models = ["m0", {"id": "m1", "regions": ["us-east"]}, {"id": "m2", "regions": []}]
        assert plan(job(models=models)).plan == {"US": ["m0", "m1", "m2"], "EU": ["m0", "m2"]}

    def test_a_model_named_twice_runs_where_either_says(self) -> None:
        models = [{"id": "m1", "regions": ["EU"]}, {"id": "m1", "regions": ["US", "ASIA"]}]
        assert plan(job(models=models)).plan == {"US": ["m1"], "EU": ["m1"]}

    def test_a_region_without_a_model(self) -> None:
        assert invalid(job(models=[{"id": "m1", "regions": ["EU"]}])) == "No model of the job runs in US."

    def test_a_model_without_a_region(self) -> None:
        detail = invalid(job(models=["m0", {"id": "m1", "regions": ["ASIA"]}]))
        assert detail == "The model m1 may not run in any of the job's regions."

    def test_no_provider_names_every_pair(self) -> None:
        code, detail = refused(job(models=["m0", "only-us", "other"]))
        assert code == "no_provider"
        assert detail == "No provider is configured for other in US, only-us in EU, other in EU."
        assert plan(job(models=["m0", {"id": "only-us", "regions": ["US"]}])).plan["US"] == ["m0", "only-us"]

    def test_questions_by_id_or_as_free_text(self) -> None:
        found = plan(job(questions=["identity_basic", "Is 1 < 2?", "math_basic", "Is 1 < 2?"])).questions
        name = "text-" + hashlib.sha256(b"Is 1 < 2?").hexdigest()[:16]
        assert found == [
            Question("identity_basic", "Who are you?"),
            Question(name, "Is 1 < 2?"),
            Question("math_basic", "What is 2+2?"),
        ]

    def test_one_prompt_by_id_or_as_free_text(self) -> None:
        assert plan(job()).questions == [Question("prompt", "Why?")]
        by_id = job(benchmark__input__data={"prompt": "math_basic"})
        assert plan(by_id).questions == [Question("prompt", "What is 2+2?")]

    def test_ids(self) -> None:
        assert plan(job(jobspec_id="job-1")).job_id == "job-1"
        assert plan(job(id="", jobspec_id="x")).job_id == "x"
        assert invalid(job(jobspec_id="job-2")) == "id and jobspec_id differ."
        first, second = plan(job(id=...)).job_id, plan(job(id="")).job_id
        assert first != second
        assert re.fullmatch(r"job-[0-9a-f-]{36}", first)

    def test_received_bytes_are_kept(self) -> None:
        raw = json.dumps(job(), indent=3).encode()
        assert plan(parse_json(raw), raw=raw).spec_raw == raw
        made = plan(job(questions=["\u00e9"])).spec_raw
        assert json.loads(made) == job(questions=["\u00e9"])

    def test_a_key_counts_only_with_a_verified_signature(self) -> None:
        spec = job(public_key="k")
        assert plan(spec).public_key is None
        assert plan(spec, signature_form="jcs").public_key == "k"
        assert plan(spec, signature_form="D+go").public_key == "k"
        assert plan(spec, signature_form="D+go").signature_form == "D+go"

    @pytest.mark.parametrize("form", ["C", "D", "C+go", "D+go"])
    def test_what_a_form_does_not_sign_does_not_count(self, form: str) -> None:
        added = job(constraints__min_success_rate=0, constraints__min_regions=0, runs=0, metadata={"model": ""})
        found = plan(added | {"created_at": 7}, signature_form=form)
        assert (found.job_id, found.min_regions, found.min_success_rate, found.runs) == ("job-1", 1, Decimal("0.67"), 1)
        for other in (None, "jcs", "B"):
            assert refused(added, signature_form=other)[0] == "validation_error"


class TestWrapper:
    def test_narrows_regions(self) -> None:
        spec = job(constraints__regions=["us-east", "EU", "ASIA"])
        assert list(plan(spec, Wrapper(target_regions=["ASIA", "US_WEST"])).plan) == ["US", "ASIA"]
        assert list(plan(spec, Wrapper(target_regions=["US", "EU", "ASIA"])).plan) == ["US", "EU", "ASIA"]
        assert list(plan(spec, Wrapper()).plan) == ["US", "EU", "ASIA"]

    def test_never_widens_regions(self) -> None:
        detail = invalid(job(), Wrapper(target_regions=["US", "ASIA", "R4"]))
        assert detail == "target_regions has ASIA, R4, which the job was not signed for."
        assert refused(job(), Wrapper(target_regions=["MARS"]))[0] == "unknown_region"

    def test_a_model_may_lose_its_last_region(self) -> None:
        spec = job(models=["m0", {"id": "m1", "regions": ["EU"]}])
        assert "m1" in invalid(spec, Wrapper(target_regions=["US"]))

    @pytest.mark.parametrize(
        ("name", "signed", "stricter", "weaker"), [("min_regions", 2, 3, 1), ("min_success_rate", 0.5, 0.51, 0.49)]
    )
    def test_success_rule(self, name: str, signed: float, stricter: float, weaker: float) -> None:
        spec = job(constraints__regions=["US", "EU", "ASIA"])
        bound = job(constraints__regions=["US", "EU", "ASIA"], **{f"constraints__{name}": signed})

        def result(spec: dict[str, Any], value: float) -> float:
            return float(getattr(plan(spec, Wrapper.parse({name: value})), name))

        assert result(bound, signed) == signed
        assert result(bound, stricter) == stricter
        assert (
            invalid(bound, Wrapper.parse({name: weaker}))
            == f"{name} is below the {signed} that the job was signed with."
        )
        assert result(spec, weaker) == weaker

    def test_min_regions_is_checked_against_the_narrowed_target(self) -> None:
        spec = job(constraints__min_regions=2)
        assert invalid(spec, Wrapper(target_regions=["US"])) == "min_regions is 2, but the job runs in 1 regions."
        assert invalid(job(), Wrapper(target_regions=["US"], min_regions=2))
        assert invalid(job(), Wrapper(min_regions=3))

    def test_analysis_is_passed_on(self) -> None:
        for value in (True, False, None):
            assert plan(job(), Wrapper(enable_analysis=value)).enable_analysis is value

    def test_parse(self) -> None:
        body = {
            "jobspec": {"any": 1},
            "target_regions": ["US"],
            "min_regions": 2.0,
            "min_success_rate": 1,
            "enable_analysis": True,
        }
        assert Wrapper.parse(body) == Wrapper(
            target_regions=["US"], min_regions=2, min_success_rate=1.0, enable_analysis=True
        )
        assert Wrapper.parse({"jobspec": {}, "other": 1, "min_regions": None}) == Wrapper()

    @pytest.mark.parametrize(
        "field",
        [
            {"target_regions": []}, {"target_regions": "US"}, {"target_regions": [1]}, {"target_regions": ["US"] * 9},
            {"min_regions": 0}, {"min_regions": "1"}, {"min_regions": True}, {"min_success_rate": -0.1},
            {"min_success_rate": 1.1}, {"min_success_rate": "1"}, {"enable_analysis": 1}, {"enable_analysis": "yes"},
        ],
        ids=str,
    )  # fmt: skip
    def test_parse_refuses(self, field: dict[str, Any]) -> None:
        with pytest.raises(SpecError) as caught:
            Wrapper.parse(field)
        assert caught.value.code == "validation_error"
        assert next(iter(field)) in caught.value.detail

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"jobspec":{"a":1.0}}',
            b' { "min_regions" : 1 ,\n "jobspec" :  {"a":1.0} , "x":[{"jobspec":{}}]\t}\n',
            b'{"x":{"jobspec":{"a":2}},"y":"\\"jobspec\\":{}","job\\u0073pec":{"a":1.0}}',
            '{"\u00e9\U0001f600":"\u00e9","jobspec":{"a":1.0}}'.encode(),
        ],
    )
    def test_split_keeps_the_exact_bytes(self, raw: bytes) -> None:
        assert split_wrapper(raw, parse_json(raw)) == ({"a": 1}, b'{"a":1.0}')

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"{}", "missing_field:jobspec"), (b'{"jobspec":null}', "missing_field:jobspec"),
            (b'{"jobspec":[]}', "validation_error"), (b'{"jobspec":"{}"}', "validation_error"),
        ],
    )  # fmt: skip
    def test_split_refuses(self, raw: bytes, code: str) -> None:
        with pytest.raises(SpecError) as caught:
            split_wrapper(raw, parse_json(raw))
        assert caught.value.code == code


class TestDigest:
    def test_is_that_of_what_counts(self) -> None:
        spec = job(public_key="k", signature="s")
        request = {"spec": job(), "plan": {"US": ["m0"], "EU": ["m0"]}, "min_regions": 1, "min_success_rate": 0.67}
        assert plan(spec).digest == hashlib.sha256(canonical(request)).digest()

    def test_is_equal_for_the_same_request(self) -> None:
        spec = job(constraints__regions=["US", "EU", "ASIA"])
        respelt = json.loads(json.dumps(dict(reversed(spec.items())), indent=1).replace('"v1"', '"\\u00761"'))
        assert plan(respelt).digest == plan(spec).digest
        assert plan(job(id=...)).digest == plan(job(id=...)).digest
        narrow = Wrapper(target_regions=["US", "EU"])
        assert plan(spec, narrow).digest == plan(copy.deepcopy(spec), Wrapper(target_regions=["EU", "us-east"])).digest
        everything = Wrapper(target_regions=["US", "EU", "ASIA"], min_regions=1, min_success_rate=0.67)
        assert plan(spec, everything).digest == plan(spec).digest

    def test_differs_for_every_other(self) -> None:
        spec = job(constraints__regions=["US", "EU", "ASIA"])
        found = [
            plan(spec),
            plan(spec | {"id": "job-2"}),
            plan(spec | {"note": 1}),
            plan(spec | {"runs": 1}),
            plan(spec, Wrapper(target_regions=["US", "EU"])),
            plan(spec, Wrapper(min_regions=2)),
            plan(spec, Wrapper(min_success_rate=0.68)),
            plan_job(Verified.of(spec | {}, None), copy.copy(CATALOGUE), Wrapper(target_regions=["US"])),
        ]
        assert len({submission.digest for submission in found}) == len(found)
