"""The shape of a job: what is required, what has which type, every limit at its edge."""

import json
from decimal import Decimal
from typing import Any

import pytest

from runner_core.job_shapes import CrossRegionRequest, JobSpec
from runner_core.jobspec import Question
from tests.unit.planning import MODELS, NAMES, invalid, job, plan, refused


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
        assert detail == f"{field}: an id can't be cross-region or dots alone, because no URL can name such a job."

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
