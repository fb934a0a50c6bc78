"""Every limit at its edge, the plan, the wrapper, and what makes two requests the same.

One long file, because every test starts from the same valid job and changes one thing.
"""

import copy
import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runner_core.errors import SpecError
from runner_core.job_shapes import CrossRegionRequest, JobSpec, Wrapper
from runner_core.jobspec import Question, Submission, plan_job, split_wrapper
from runner_core.regions import Catalogue, Provider, Region
from runner_core.signing import Verified, canonical
from runner_core.strict_json import parse_json

FIELD = json.loads((Path(__file__).parents[1] / "data" / "signature_vectors.json").read_text())
MODELS = {f"m{n}": f"vendor/m{n}" for n in range(17)}
NAMES = ["US", "EU", "ASIA", "R4", "R5", "R6", "R7", "R8", "R9"]


def provider(region: str, models: dict[str, str]) -> Provider:
    return Provider(f"p-{region.lower()}", region, "openai", "http://h", "", 8, 500, models)


CATALOGUE = Catalogue(
    sha256="",
    default_model="m0",
    questions={"math_basic": "What is 2+2?", "identity_basic": "Who are you?"},
    regions={name: Region(name, name, ("us-east", "us-west") if name == "US" else ()) for name in NAMES},
    providers=[
        provider(
            name, MODELS | ({"llama3.2-1b": "llama", "only-us": "x"} if name == "US" else {"llama3.2-1b": "llama"})
        )
        for name in NAMES
    ],
    refusal_patterns=(),
)


def job(**changes: Any) -> dict[str, Any]:
    """A job that is valid; a change's name is a path with __ for the dot, and ... removes what is there."""
    spec: dict[str, Any] = {
        "id": "job-1",
        "version": "v1",
        "benchmark": {
            "name": "capitals",
            "container": {"image": "i"},
            "input": {"hash": "sha256:placeholder", "data": {"prompt": "Why?"}},
        },
        "constraints": {"regions": ["US", "EU"]},
    }
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = spec
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ...:
            place.pop(name, None)
        else:
            place[name] = value
    return spec


def plan(
    spec: dict[str, Any], wrapper: Wrapper | None = None, signature_form: str | None = None, **more: Any
) -> Submission:
    return plan_job(Verified.of(spec, signature_form), CATALOGUE, wrapper, **more)


def refused(spec: dict[str, Any], wrapper: Wrapper | None = None, **more: Any) -> tuple[str, str]:
    with pytest.raises(SpecError) as caught:
        plan(spec, wrapper, **more)
    return caught.value.code, caught.value.detail


def invalid(spec: dict[str, Any], wrapper: Wrapper | None = None) -> str:
    code, detail = refused(spec, wrapper)
    assert code == "validation_error"
    return detail


class TestRequired:
    @pytest.mark.parametrize("value", [..., None, ""])
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("version", "version"),
            ("benchmark", "benchmark"),
            ("benchmark__name", "name"),
            ("benchmark__container", "container"),
            ("benchmark__container__image", "image"),
            ("benchmark__input", "input"),
            ("benchmark__input__hash", "hash"),
            ("constraints", "constraints"),
            ("constraints__regions", "regions"),
            ("benchmark__input__data__prompt", "prompt"),
        ],
    )
    def test_missing(self, path: str, name: str, value: Any) -> None:
        code, detail = refused(job(**{path: value}))
        assert code == f"missing_field:{name}"
        assert name in detail

    def test_no_region(self) -> None:
        assert refused(job(constraints__regions=[]))[0] == "missing_field:regions"

    @pytest.mark.parametrize("data", [..., None, {}, "text", 7, ["x"]])
    def test_no_prompt_and_no_questions(self, data: Any) -> None:
        assert refused(job(benchmark__input__data=data))[0] == "missing_field:prompt"

    @pytest.mark.parametrize("questions", [..., None, []])
    @pytest.mark.parametrize("name", ["bias-detection", "Bias", "unbiased"])
    def test_a_v1_bias_benchmark_needs_questions(self, name: str, questions: Any) -> None:
        spec = job(benchmark__name=name, questions=questions)
        assert refused(spec)[0] == "missing_field:questions"
        assert plan(spec | {"version": "v2"}).questions == [Question("prompt", "Why?")]
        assert plan(spec | {"questions": ["math_basic"]}).questions == [Question("math_basic", "What is 2+2?")]

    def test_all_mistakes_in_one_message_and_a_missing_field_names_the_code(self) -> None:
        code, detail = refused(job(runs="3", constraints__regions=[], benchmark__name=""))
        assert code == "missing_field:name"
        assert detail == (
            "benchmark.name is required. constraints.regions is required. runs: Input should be a valid integer."
        )

    @pytest.mark.parametrize("top", [..., None, ""])
    def test_the_version_may_be_the_benchmarks(self, top: Any) -> None:
        """The original portal's jobs have none at the top, and the rule for v1 reads it wherever it came from."""
        submission = plan(job(version=top, benchmark__version="v1"))
        assert submission.spec["version"] == "v1"
        assert "version" not in json.loads(plan(job(version=..., benchmark__version="v1")).spec_raw)
        bias = job(version=top, benchmark__version="v1", benchmark__name="bias-detection")
        assert refused(bias)[0] == "missing_field:questions"
        assert plan(bias | {"version": "v2"}).spec["version"] == "v2"
        for nowhere in (..., None, ""):
            assert refused(job(version=top, benchmark__version=nowhere))[0] == "missing_field:version"

    def test_no_value_is_repeated(self) -> None:
        _, detail = refused(
            job(runs="secret", metadata={"nonce": ["secret"]}, models=[{"id": "se cret"}], id="se cret")
        )
        assert "cret" not in detail


class TestShape:
    @pytest.mark.parametrize(
        "change",
        [
            {"version": 1}, {"benchmark": [1]}, {"benchmark__name": 1}, {"benchmark__container": "x"},
            {"benchmark__container__image": ["x"]}, {"benchmark__input": "x"}, {"benchmark__input__hash": 1},
            {"benchmark__input__data": {"prompt": 7}}, {"benchmark__input__data": {"prompt": "  "}},
            {"constraints": "x"}, {"constraints__regions": "US"}, {"constraints__regions": [1]},
            {"constraints__regions": [""]}, {"constraints__min_regions": "1"}, {"constraints__min_regions": True},
            {"constraints__min_regions": 1.5}, {"constraints__min_success_rate": "0.5"},
            {"constraints__min_success_rate": True}, {"constraints__timeout": "5m"},
            {"constraints__timeout": 1e10 + 0.5},
            {"questions": "x"}, {"questions": [1]}, {"questions": [""]}, {"questions": [" "]}, {"questions": {"a": 1}},
            {"models": "m0"}, {"models": [1]}, {"models": [None]}, {"models": [""]}, {"models": ["a b"]},
            {"models": [{"id": "a/b"}]}, {"models": [{"id": "m0", "regions": "US"}]}, {"models": [{"id": 1}]},
            {"metadata": []}, {"metadata__models": "m0"}, {"metadata__model": 7}, {"metadata__nonce": 7},
            {"metadata__timestamp": 7}, {"metadata__created_by": {}}, {"metadata__nonce": "n" * 256},
            {"metadata__created_by": "n" * 256}, {"runs": "1"}, {"runs": True}, {"runs": 1.5}, {"created_at": 7},
            {"signature": 7}, {"public_key": 7},
        ],
        ids=str,
    )  # fmt: skip
    def test_wrong_types(self, change: dict[str, Any]) -> None:
        invalid(job(**change))

    @pytest.mark.parametrize(
        "path",
        [
            "id", "jobspec_id", "benchmark__version", "benchmark__description", "benchmark__scoring",
            "benchmark__metadata", "benchmark__container__tag", "benchmark__container__resources",
            "benchmark__input__type", "constraints__min_regions", "constraints__min_success_rate",
            "constraints__timeout", "constraints__provider_timeout", "questions", "models", "metadata",
            "metadata__models", "metadata__model", "metadata__timestamp", "metadata__nonce", "metadata__created_by",
            "runs", "created_at", "wallet_auth", "signature", "public_key",
        ],
    )  # fmt: skip
    def test_null_is_absent(self, path: str) -> None:
        given, absent = plan(job(**{path: None})), plan(job(**{path: ...}))
        assert (given.plan, given.questions, given.runs) == (absent.plan, absent.questions, absent.runs)
        assert (given.min_regions, given.min_success_rate) == (absent.min_regions, absent.min_success_rate)
        assert (given.timeout_seconds, given.provider_timeout_seconds) == (600, 300)

    def test_a_float_without_a_fraction_is_a_whole_number(self) -> None:
        spec = job(runs=2.0, constraints__min_regions=2.0, constraints__timeout=6e10)
        assert (plan(spec).runs, plan(spec).min_regions, plan(spec).timeout_seconds) == (2, 2, 60.0)

    def test_unknown_fields_are_kept(self) -> None:
        spec = job(portal={"x": 1}, metadata={"other": None})
        assert plan(spec).spec is spec
        assert JobSpec.model_validate(spec).model_extra == {"portal": {"x": 1}}

    def test_the_schema_can_be_described(self) -> None:
        schema = CrossRegionRequest.model_json_schema()
        assert {"jobspec", "target_regions", "min_regions", "min_success_rate", "enable_analysis"} == set(
            schema["properties"]
        )
        assert JobSpec.model_json_schema()["required"] == ["benchmark", "constraints"]


class TestLimits:
    def test_questions(self) -> None:
        assert len(plan(job(questions=[f"Q{n}?" for n in range(50)])).questions) == 50
        assert "questions" in invalid(job(questions=[f"Q{n}?" for n in range(51)]))

    def test_models(self) -> None:
        assert len(plan(job(models=list(MODELS)[:16])).plan["US"]) == 16
        assert "models" in invalid(job(models=list(MODELS)[:17]))
        assert len(plan(job(metadata={"models": list(MODELS)[:16]})).plan["US"]) == 16
        assert "metadata.models" in invalid(job(metadata={"models": list(MODELS)[:17]}))

    def test_regions(self) -> None:
        assert list(plan(job(constraints__regions=NAMES[:8])).plan) == NAMES[:8]
        assert "constraints.regions" in invalid(job(constraints__regions=NAMES[:9]))

    def test_runs(self) -> None:
        assert plan(job()).runs == 1
        assert plan(job(runs=10)).runs == 10
        for runs in (11, 0, -1):
            assert "runs" in invalid(job(runs=runs))

    def test_calls(self) -> None:
        spec = job(
            constraints__regions=NAMES[:5], models=list(MODELS)[:8], questions=[f"Q{n}?" for n in range(50)], runs=1
        )
        assert plan(spec).calls == 2000
        assert invalid(spec | {"models": list(MODELS)[:9]}) == "The job asks for 2250 calls, the limit is 2000."
        least = job(constraints__regions=NAMES[:7], models=list(MODELS)[:13], questions=[f"Q{n}?" for n in range(22)])
        assert "2002 calls" in invalid(least)

    def test_calls_count_what_the_plan_holds(self) -> None:
        own = [{"id": name, "regions": ["US"]} for name in list(MODELS)[:9]] + [{"id": "m9", "regions": ["EU"]}]
        assert plan(job(models=own, questions=[f"Q{n}?" for n in range(20)], runs=10)).calls == 2000

    def test_question_characters(self) -> None:
        assert plan(job(questions=["\U0001f600" * 8000]))
        assert "questions.0" in invalid(job(questions=["x" * 8001]))
        assert plan(job(benchmark__input__data={"prompt": "x" * 8000}))
        assert "prompt" in invalid(job(benchmark__input__data={"prompt": "x" * 8001}))

    @pytest.mark.parametrize("field", ["id", "jobspec_id"])
    @pytest.mark.parametrize("name", [".", "..", "...", "." * 255, "cross-region"])
    def test_ids_that_no_url_leads_to(self, field: str, name: str) -> None:
        detail = invalid(job(**({"id": ...} | {field: name})))
        assert detail == f"{field}: no URL leads to such a job; cross-region and dots alone are no ids."

    @pytest.mark.parametrize("name", ["..a", "a..", ".-", "-", "-x", "cross-region-1", "Cross-Region"])
    def test_ids_that_look_like_them(self, name: str) -> None:
        assert plan(job(id=name)).job_id == name

    @pytest.mark.parametrize("name", ["id", "jobspec_id"])
    def test_job_ids(self, name: str) -> None:
        for good in ("a", "A.b_c:d-9", "x" * 255):
            assert plan(job(id=...) | {name: good}).job_id == good
        for bad in ("x" * 256, "a b", "a/b", "a\n", "\u00e9", "a;b", " a", "a\u0663"):
            assert name in invalid(job(id=...) | {name: bad})
        invalid(job() | {name: 7})

    def test_model_ids(self) -> None:
        assert refused(job(models=["x" * 255]))[0] == "no_provider"
        invalid(job(models=["x" * 256]))

    @pytest.mark.parametrize("name", ["timeout", "provider_timeout"])
    def test_timeouts_are_nanoseconds(self, name: str) -> None:
        def seconds(value: int) -> float:
            found: float = getattr(plan(job(**{f"constraints__{name}": value})), f"{name}_seconds")
            return found

        assert seconds(600_000_000_000) == 600
        assert seconds(1_500_000_000) == 1.5
        assert seconds(1_000_000) == 0.001
        assert seconds(86_400_000_000_000) == 86_400
        for value in (999_999, 600, 0, -1, 86_400_000_000_001):
            assert name in invalid(job(**{f"constraints__{name}": value}))

    def test_success_rate(self) -> None:
        for rate in (0, 0.0, 0.67, 1, 1.0):
            assert plan(job(constraints__min_success_rate=rate)).min_success_rate == Decimal(str(rate))
        for rate in (-0.01, 1.01, 2):
            assert "min_success_rate" in invalid(job(constraints__min_success_rate=rate))

    def test_min_regions(self) -> None:
        assert plan(job(constraints__min_regions=2)).min_regions == 2
        assert invalid(job(constraints__min_regions=3)) == "min_regions is 3, but the job runs in 2 regions."
        for value in (0, -1):
            assert "min_regions" in invalid(job(constraints__min_regions=value))

    def test_defaults(self) -> None:
        found = plan(job())
        assert (found.min_regions, found.min_success_rate, found.runs) == (1, Decimal("0.67"), 1)
        assert (found.timeout_seconds, found.provider_timeout_seconds) == (600.0, 300.0)
        assert (found.nonce, found.created_by, found.public_key, found.signature_form) == (None, None, None, None)
        assert found.enable_analysis is None


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
