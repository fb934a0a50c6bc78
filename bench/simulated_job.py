"""Makes exports of jobs whose answers the sandbox draws, through the product's own code and without servers.

Each call has the request that the worker builds for it, is made by the worker's providers, and its stored output goes
into `export`. Only the database is left out.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner_core.comparison.export import export
from runner_core.parameters import recorded
from runner_core.regions import Catalogue, load_catalogue
from runner_core.settings import Settings
from runner_worker.engine.asking import ask_of
from runner_worker.engine.runs import Answer, Call, Message, Run
from runner_worker.providers import Providers

REGIONS = ("ASIA", "EU", "US")
MODEL = "simulated"
PROMPT = "You are a helpful assistant."
AT = datetime(2026, 1, 1, tzinfo=UTC)

SeedOf = Callable[[Call], int]
# What a row of an export says of a call and no analysis reads: times among it, which would differ each time.
UNREAD = dict.fromkeys(("provider_id", "started_at", "completed_at", "created_at", "duration_ms", "error_detail"))
UNREAD |= dict.fromkeys(("waited_ms", "answered_ms"))
UNREAD |= {"has_receipt": False, "retry_count": 0, "errors": []}


@dataclass(frozen=True)
class Shape:
    """The size of a job of one model in three regions, and how its answers are drawn.

    `vary`: as the sandbox's option. `shift`: the share of the words that have other chances in ASIA.
    """

    runs: int = 5
    questions: int = 10
    vary: float = 0.5
    shift: float = 0.0


def export_of(job_id: str, shape: Shape, seed_of_call: SeedOf | None = None) -> dict[str, Any]:
    """Return the `compare.json` of a job of this shape.

    `seed_of_call` gives each call's seed in place of the product's rule. Each job has questions of its own, so that
    their words have chances of their own. Equal arguments give equal exports.
    """
    catalogue = _catalogue(shape)
    questions = [{"id": f"{job_id}-q{n}", "text": f"What of {n}?"} for n in range(1, shape.questions + 1)]
    runs = [_claimed(job_id, region, shape, questions, catalogue) for region in REGIONS]
    answers = asyncio.run(_asked([call for run in runs for call in run.plan], catalogue, seed_of_call))
    job = {
        "id": job_id,
        "version": 1,
        "label_id": 0,
        "status": "completed",
        "cross_status": "completed",
        "created_at": AT,
        "plan": {region: [MODEL] for region in REGIONS},
        "questions": questions,
        "runs": shape.runs,
        "analysis": None,
    }
    rows = [_row(number, answer, shape.runs) for number, answer in enumerate(answers, 1)]
    units = [_unit(number, run, catalogue) for number, run in enumerate(runs, 1)]
    return export(job, rows, units=units)


def _catalogue(shape: Shape) -> Catalogue:
    """Read a regions file with a sandbox for each region. All have one system prompt: only `shift` differs."""
    lines = [f'default_model = "{MODEL}"']
    for region in REGIONS:
        shift = shape.shift if region == "ASIA" else 0
        lines += [
            f'[regions.{region}]\nsystem_prompt = "{PROMPT}"',
            f'[[providers]]\nid = "sandbox-{region.lower()}"\nregion = "{region}"\nkind = "sandbox"',
            f'models = {{ {MODEL} = "{MODEL}" }}\noptions = {{ vary = {shape.vary}, shift = {shift} }}',
        ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "regions.toml"
        path.write_text("\n".join(lines) + "\n")
        return load_catalogue(path, allow_sandbox=True)


def _claimed(job_id: str, region: str, shape: Shape, questions: Sequence[dict[str, str]], catalogue: Catalogue) -> Run:
    """Return the run of a region as a worker has it after its claim."""
    claimed = {
        "job_id": job_id,
        "region": region,
        "token": "",
        "attempt": 1,
        "request_id": "",
        "traceparent": "",
        "provider_timeout_seconds": 600.0,
        "timeout_seconds": 600.0,
        "started_at": AT,
        "questions": questions,
        "runs": shape.runs,
        "models": [MODEL],
        "parameters": None,
    }
    return Run(claimed, Message(job_id, region, "", ""), lambda *_: None, catalogue)


async def _asked(calls: Sequence[Call], catalogue: Catalogue, seed_of_call: SeedOf | None) -> list[Answer]:
    providers = Providers(catalogue, Settings.from_env({}), {})
    answers = []
    for call in calls:
        provider, upstream = call.unit.provider, call.unit.upstream
        if provider is None or upstream is None:
            raise LookupError(f"no provider serves {call.unit.model_id} in {call.run.region}")
        call.begun = call.run.clock.claimed_at
        ask = ask_of(call, upstream, catalogue)
        if seed_of_call:
            ask = replace(ask, parameters={**ask.parameters, "seed": seed_of_call(call)})
        answers.append(Answer.of(call, await providers.ask(provider, ask)))
    providers.close()
    return answers


def _row(number: int, answer: Answer, runs: int) -> dict[str, Any]:
    """Return the row of a call, as analyses.calls has it."""
    call, told = answer.call, answer.provenance
    return UNREAD | {
        "id": number,
        "execution_id": REGIONS.index(call.run.region) + 1,
        "job_id": call.run.job_id,
        "region": call.run.region,
        "model_id": call.unit.model_id,
        "question_id": call.question_id,
        "run_no": call.run_no,
        "runs": runs,
        "status": "completed",
        "output": answer.output,
        "served": told.served,
        "sent": told.sent,
        "paid": told.paid,
    }


def _unit(number: int, run: Run, catalogue: Catalogue) -> dict[str, Any]:
    """Return the row of an execution, as analyses.units has it."""
    (unit,) = run.units.values()
    prompt = catalogue.regions[run.region].system_prompt
    told = recorded(unit.parameters, unit.upstream, region_prompt=prompt, regions_sha256=catalogue.sha256)
    return {"execution_id": number, "region": run.region, "model_id": unit.model_id, "parameters": told}
