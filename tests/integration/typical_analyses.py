"""What the statements about analyses and labels are typically asked in a crowded database."""

from datetime import timedelta

from runner_analyst.due import PAGE
from runner_core.store import judgements
from tests.integration.crowd import job_id
from tests.integration.typical_parameters import MOST, NOW, Case, ended, job

METHOD = "beacon-compare/1+refusal-rules/2"
_texts = [f"{n:064x}" for n in range(20)]
_days = {"method": METHOD, "since": NOW - timedelta(days=30), "page": PAGE}
_judge = {"judge": "judge-1"}
_LOOK = "a page of 100 jobs: for each its plan, and the keys of its answers up to the first without a row of the judge"
_PAGE = "a page of 100 jobs: for each its row, its newest label and its analysis"

ANALYSES: dict[str, list[Case]] = {
    "analyses.clock": [Case("analyst")],
    "analyses.page": [
        Case("analyst", {**_days, "before": NOW, "before_id": ""}, MOST, _PAGE),
        Case("analyst", {**_days, "before": NOW - timedelta(days=3), "before_id": job_id(ended)}, MOST, _PAGE),
    ],
    "analyses.is_due": [Case("analyst", {**job, "method": METHOD})],
    "analyses.job": [Case("api analyst", job)],
    "analyses.calls": [Case("analyst", {**job, "characters": 20_000})],
    "analyses.units": [Case("api analyst", job)],
    "analyses.add": [
        Case(
            "analyst",
            {**job, "method": METHOD, "job_version": 8, "label_id": 0, "input_sha256": b"x" * 32, "elapsed_ms": 5}
            | {"result": '{"models": []}'},
        )
    ],
    "analyses.newest": [
        Case("api", {**job, "method": METHOD, "input_sha256": None}),
        Case("api", {**job, "method": None, "input_sha256": b"x" * 32}),
    ],
    "analyses.method": [Case("api", job)],
    "labels.newest": [Case("api analyst", {**job, "label_id": 7})],
    "labels.page": [Case("api", {**job, "after": 0, "page": 1000})],
    "analyses.shown_method": [Case("analyst")],
    "analyses.show_method": [Case("analyst", {"method": METHOD})],
    "judgements.lock": [Case("worker")],
    "judgements.asked": [Case("worker", _judge)],
    "judgements.jobs": [
        Case("worker", {**_judge, "since": NOW - timedelta(days=7), "after": "", "page": judgements.PAGE}, MOST, _LOOK)
    ],
    "judgements.begin": [Case("worker", {**_judge, **job, "filtered": ["content_filter"]})],
    "judgements.give_up": [Case("worker", {**_judge, "most": 3})],
    "judgements.take": [Case("worker", {**_judge, "seconds": 120, "most": 3})],
    "judgements.failed": [
        Case(
            "worker",
            {**_judge, "answer_id": 7, "asked_at": NOW, "sent": True, "counts": True, "most": 3, "seconds": 120}
            | {"error": "timeout"},
        )
    ],
    "judgements.text": [Case("worker", {"answer_id": 7, "characters": 20_000})],
    "judgements.end": [
        Case(
            "worker",
            {**_judge, "answer_id": 7, "reply": "answer", "category": "answer", "error": None, "sent": "{}"},
        )
    ],
    "judgements.unlabelled": [Case("worker", _judge)],
    "judgements.label": [Case("worker", {**_judge, **job, "actor": "us/m judge-1"})],
    "judgements.beside_people": [Case("analyst", _judge)],
    "labels.lock": [Case("api", {"answer_id": 7})],
    "labels.add": [
        Case("api", {"answer_id": 7, "category": "answer", "source": "human", "actor": "a", "note": ""}),
    ],
    "embeddings.known": [Case("api analyst", {"texts": _texts, "model": "m"})],
    "embeddings.renew": [Case("analyst", {"texts": _texts, "model": "m"})],
    "embeddings.add": [Case("analyst", {"texts": _texts, "model": "m", "results": ["[1]"] * 20})],
}
