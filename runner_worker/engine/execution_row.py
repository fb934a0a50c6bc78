"""Builds the row of a complete unit's execution, with its signed receipt."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from runner_core.keys import PrivateKey
from runner_core.parameters import NOTHING, recorded
from runner_core.receipts import RECEIPT_VERSION, covered, output_sha256, parameters_sha256, sign_receipt
from runner_core.regions import Catalogue
from runner_core.served import identities
from runner_core.store.executions import Ended
from runner_worker.engine.runs import Unit


class ExecutionRows:
    """Builds the rows of executions. `receipt_key` signs their receipts; without a key there are none."""

    def __init__(self, catalogue: Catalogue, receipt_key: PrivateKey | None) -> None:
        self._catalogue = catalogue
        self.receipt_key = receipt_key
        self._usual = cache(self._write_parameters)  # equal for all executions of a model in a region

    def ended(self, unit: Unit) -> Ended:
        """Return a complete unit's execution: completed if an answer is usable, else failed with the last error."""
        held, clock = unit.run, unit.run.clock
        now = max(clock.claimed_at, unit.ended_at)
        started_at, completed_at = clock.started_at, clock.at(now)
        output = _output(unit)
        served = identities(provenance.served for provenance in unit.provenance.values())
        facts: dict[str, Any] = {
            "job_id": held.job_id,
            "region": held.region,
            "model_id": unit.model_id,
            "status": "completed" if unit.outputs else "failed",
            "provider_id": ",".join(sorted(unit.providers)) or None,
            "attempt": held.attempt,
            "started_at": started_at.isoformat(),
            "completed_at": completed_at.isoformat(),
            "duration_ms": int((now - clock.claimed_at) * 1000),
            "failed_answers": len(unit.errors),
            "answered_ms": _mean_answered_ms(unit),
        }
        return Ended(
            job_id=held.job_id,
            region=held.region,
            model_id=unit.model_id,
            token=held.token,
            status=facts["status"],
            provider_id=facts["provider_id"],
            started_at=started_at,
            completed_at=completed_at,
            duration_ms=facts["duration_ms"],
            failed_answers=facts["failed_answers"],
            retry_count=held.attempt - 1 + unit.tries,
            error_detail=None if unit.outputs else to_json(unit.errors[-1]),
            output=to_json(output),
            parameters=self._parameters(unit),
            receipt=self._receipt(unit, facts, output, served),
            served=to_json(served),
            answered_ms=facts["answered_ms"],
        )

    def _receipt(
        self, unit: Unit, facts: dict[str, Any], output: dict[str, Any], served: list[dict[str, str]]
    ) -> str | None:
        if self.receipt_key is None:
            return None
        usable = {(answer["question_id"], answer["run_no"]) for answer in output["answers"]}
        calls = (
            {"question_id": key[0], "run_no": key[1], "status": "ok" if key in usable else "failed", "sent": one.sent}
            for key, one in unit.provenance.items()
        )
        proofs = {
            "version": RECEIPT_VERSION,
            "served": served,
            "parameters_sha256": parameters_sha256(covered(calls)),
            "regions_sha256": self._catalogue.sha256,
            "output_sha256": output_sha256(output),
        }
        return to_json(sign_receipt(facts | proofs, self.receipt_key))

    def _parameters(self, unit: Unit) -> str:
        place = unit.run.region, unit.model_id
        return self._write_parameters(*place, unit.parameters) if unit.parameters else self._usual(*place)

    def _write_parameters(self, region_name: str, model_id: str, asked: Mapping[str, Any] = NOTHING) -> str:
        region = self._catalogue.regions.get(region_name)
        _, upstream = self._catalogue.provider_for(region_name, model_id) or (None, None)
        prompt = region.system_prompt if region else ""
        return to_json(recorded(asked, upstream, region_prompt=prompt, regions_sha256=self._catalogue.sha256))


def to_json(value: Any) -> str:
    """Return the value as JSON text."""
    return orjson.dumps(value).decode()


def _output(unit: Unit) -> dict[str, Any]:
    outputs = sorted(unit.outputs, key=lambda o: (o["question_id"], o["run_no"]))
    output = {
        "answers": outputs,
        "refused": sum(o["refused"] for o in outputs),
        "simulated": any(o["simulated"] for o in outputs),
    }
    if len(outputs) == 1:
        output["response"] = outputs[0]["response"]
    return output


def _mean_answered_ms(unit: Unit) -> int | None:
    """Return the mean of the known times of the usable answers."""
    times = [provenance.answered_ms for provenance in unit.provenance.values() if provenance.answered_ms is not None]
    return round(sum(times) / len(times)) if times else None
