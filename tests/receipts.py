"""A unit of a claimed region with its answers, and the details of its execution as the API gives them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from runner_api.views.rows import answer, execution
from runner_core.keys import PrivateKey
from runner_core.store.executions import Ended
from runner_worker.engine.execution_row import ExecutionRows
from runner_worker.engine.record import finished_row
from runner_worker.engine.runs import Answer, Message, Run, Unit
from runner_worker.providers import CallFailed, Reply
from runner_worker.providers.ask import Answer as Given
from tests.unit.planning import CATALOGUE

KEY = PrivateKey.from_seed(bytes(range(32)))
AT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
SERVED = {"model": "gpt-5-2025-08-07", "fingerprint": "fp_1", "geography": "eu", "request_id": "req_1"}
SENT = {"model": "vendor/m1", "max_tokens": 500, "seed": 7, "temperature": 0.1}


def unit_of(questions: Sequence[str] = ("q1", "q2"), stored: Sequence[dict[str, Any]] = ()) -> Unit:
    """One model in EU whose questions are not answered yet, but for those of an earlier attempt in `stored`."""
    claimed = {
        "job_id": "capitals-1",
        "region": "EU",
        "token": "t",
        "attempt": 1,
        "request_id": "r",
        "traceparent": "",
        "provider_timeout_seconds": 30,
        "timeout_seconds": 60,
        "started_at": AT,
        "models": ["m1"],
        "runs": 1,
        "questions": [{"id": question, "text": f"{question}?"} for question in questions],
        "parameters": None,
    }
    return Run(claimed, Message("capitals-1", "EU", "r", "d"), lambda *_: None, CATALOGUE, stored).units["m1"]


def reply(text: str = "Paris.", served: Mapping[str, str] = SERVED, **changes: Any) -> Reply:
    """A provider's answer; `changes` are fields of Reply, and `answer` fields of its answer."""
    given = Given(text, served=served, finish_reason="stop", usage={"total_tokens": 20}, **changes.pop("answer", {}))
    rest = {"calls": 1, "errors": [], "sent": SENT, "waited_ms": 1200, "answered_ms": 300}
    return Reply(given, changes.pop("refusal_source", None), "p-eu", **(rest | changes))


def take(unit: Unit, *replies: Reply | CallFailed) -> list[Answer]:
    """Answer the unit's open calls in the order of the plan."""
    calls = [call for call in unit.run.plan if call.unit is unit]
    answers = []
    for call, told in zip(calls, replies, strict=True):
        call.begun = unit.run.clock.claimed_at
        ended = Answer.failed(call, told) if isinstance(told, CallFailed) else Answer.of(call, told)
        ended.ended = unit.run.clock.claimed_at + 1.5
        assert unit.take(ended)
        answers.append(ended)
    return answers


def ended(unit: Unit) -> Ended:
    return ExecutionRows(CATALOGUE, KEY).ended(unit)


def stored_row(answered: Answer) -> dict[str, Any]:
    """The row of `answers` as PostgreSQL gives it back."""
    row = finished_row(answered)
    names = ("question_id", "run_no", "status", "provider_id", "calls", "completed_at", "duration_ms")
    rest = {"id": 18, "attempt": 1, "lost_calls": 0, "started_at": AT, "errors": json.loads(row.earlier)}
    more = {name: getattr(row, name) for name in (*names, "waited_ms", "answered_ms", "paid")}
    objects = {"output": row.output, "error_detail": row.error_detail, "served": row.served, "sent": row.sent}
    return rest | more | {name: text and json.loads(text) for name, text in objects.items()}


def details(unit: Unit, answers: Sequence[Answer]) -> dict[str, Any]:
    """The details of the unit's execution, as JSON that was sent and read."""
    row = ended(unit)
    names = ("job_id", "region", "model_id", "status", "provider_id", "started_at", "completed_at", "duration_ms")
    shown = {name: getattr(row, name) for name in (*names, "answered_ms", "retry_count")}
    shown |= {"id": 17, "execution_id": 17, "created_at": row.completed_at, "has_receipt": True}
    objects = {"output": row.output, "served": row.served, "error_detail": row.error_detail}
    shown |= {name: text and json.loads(text) for name, text in objects.items()}
    document = execution(shown) | {
        "answers": [answer(stored_row(one)) for one in answers],
        "receipt": json.loads(row.receipt or "null"),
    }
    sent: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return sent
