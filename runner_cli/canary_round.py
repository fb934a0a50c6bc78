"""One canary: a job through a running deployment, and every trace that it must leave."""

import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg

from runner_cli.client import Api
from runner_cli.exits import CommandError
from runner_cli.shapes import ACROSS, EVENTS, MESSAGES, MODELS, QUESTIONS, RECEIPT
from runner_cli.snapshot import Snapshot, follow
from runner_cli.submit import encoded, send
from runner_core.keys import PrivateKey
from runner_core.queries import row
from runner_core.redaction import described
from runner_core.session import connect, transaction
from runner_core.signing import sign, verify_jcs

QUESTION = "What is 2+2?"


@dataclass
class Round:
    """The result of one canary job. `mismatches` is empty when every check held."""

    job_id: str
    mismatches: list[str] = field(default_factory=list)

    def expect(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.mismatches.append(f"{what}: {found}, expected {wanted}")


def canary_job(api: Api, model: str | None) -> dict[str, Any]:
    """A small job for what this deployment offers: one question, one model, every region that has it."""
    models = {entry["id"]: entry for entry in api.get("/api/v1/models", MODELS)["models"]}
    chosen = model or next((name for name, entry in models.items() if entry.get("default")), next(iter(models), ""))
    if chosen not in models:
        raise CommandError(f"the deployment has no model {chosen!r}; it has {', '.join(models)}")
    asked = [entry["id"] for entry in api.get("/api/v1/questions", QUESTIONS)["questions"]][:1]
    return {
        "version": "v1",
        "benchmark": {
            "name": "canary",
            "container": {"image": "beacon-runner/canary"},
            "input": {"hash": "sha256:placeholder"},
        },
        "constraints": {"regions": models[chosen]["regions"]},
        "questions": asked or [QUESTION],
        "models": [chosen],
        "metadata": {"created_by": "beacon canary"},
    }


def run_round(api: Api, spec: dict[str, Any], key: PrivateKey, timeout: float, database_url: str) -> Round:
    """Submit `spec` (completed, without an id of its own), wait for its end, and check everything.

    A command's error is reported as a mismatch, so that the canary goes on."""
    done = Round(f"canary-{uuid.uuid4()}")
    try:
        named = {name: value for name, value in spec.items() if name != "jobspec_id"} | {"id": done.job_id}
        raw = encoded(sign(named, key))
        accepted, replayed = send(api, raw)
        done.expect("the first submission is a replay", replayed, False)
        again, replayed = send(api, raw)
        done.expect("the second submission is a replay", replayed, True)
        for name in ("job_id", "cross_region_execution_id"):
            done.expect(f"{name} of the replay", again[name], accepted[name])
        found = deque(follow(api, done.job_id, timeout=timeout), maxlen=1).pop()
        check_job(done, found)
        check_cross_region(done, api, found, str(accepted["cross_region_execution_id"]))
        check_events(done, api, found)
        check_receipts(done, api, found)
        if api.has_token:
            check_outbox(done, api)
        if database_url:
            check_rows(done, found, database_url)
    except CommandError as error:
        done.mismatches.append(error.detail)
    return done


def check_job(done: Round, found: Snapshot) -> None:
    done.expect("status", found.verdict, "completed")
    progress = found.job["progress"]
    done.expect("completed units", progress["completed"], progress["total"])
    for row_ in found.rows:
        if row_["status"] != "completed":
            done.mismatches.append(f"{row_['region']} {row_['model_id']}: {row_['status']}, {row_.get('error')}")
    keys = Counter((r["region"], r["model_id"], r.get("question_id"), r.get("run_no")) for r in found.rows)
    done.expect("duplicate rows", [key for key, count in keys.items() if count > 1], [])


def check_cross_region(done: Round, api: Api, found: Snapshot, uuid_: str) -> None:
    by_uuid = api.get(f"/api/v1/executions/{quote(uuid_, safe='')}/cross-region", ACROSS)
    across = by_uuid["cross_region_execution"]
    by_job = api.get(f"/api/v1/executions/{found.id}/cross-region", ACROSS)
    done.expect("cross-region by job id", _without_analysis(by_job), _without_analysis(by_uuid))
    done.expect("cross-region status", across["status"], "completed")
    done.expect("successful regions", across["success_count"], len(found.regions))
    done.expect("region results", sorted(r["region"] for r in by_uuid["region_results"]), sorted(found.regions))


def _without_analysis(document: dict[str, Any]) -> dict[str, Any]:
    """Return a cross-region document without what an analyst adds: the analysis may be stored between two reads."""
    kept = {name: value for name, value in document.items() if name != "analysis"}
    kept["summary"] = {name: value for name, value in document.get("summary", {}).items() if name != "analysis"}
    kept["region_results"] = [
        {name: value for name, value in result.items() if name != "scoring"} for result in document["region_results"]
    ]
    return kept


def check_events(done: Round, api: Api, found: Snapshot) -> None:
    events = api.job(found.id, EVENTS, "/events", limit=10_000)["events"]
    done.expect("event numbers", [event["seq"] for event in events], list(range(1, found.job["version"] + 1)))
    finished = sorted(str(event.get("region")) for event in events if event["type"] == "region_finished")
    done.expect("regions with a region_finished event", finished, sorted(found.regions))
    done.expect("last event", events[-1]["type"] if events else None, "job_completed")


def check_receipts(done: Round, api: Api, found: Snapshot) -> None:
    """Check that each execution has a valid receipt. A worker without a receipt key makes no receipts."""
    for execution in {r["execution_id"] for r in found.rows if r.get("has_receipt")}:
        receipt = api.get(f"/api/v1/executions/{execution}/receipt", RECEIPT)
        try:
            verify_jcs(receipt)
            done.expect("job of the receipt", receipt.get("job_id"), found.id)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it is a mismatch
            done.mismatches.append(f"receipt of execution {execution}: {error}")


def check_outbox(done: Round, api: Api) -> None:
    for place in ("outbox", "dead"):
        left = [r["id"] for r in api.get(f"/admin/{place}", MESSAGES, limit=200)["rows"] if r["job_id"] == done.job_id]
        done.expect(f"messages of the job in /admin/{place}", left, [])


def check_rows(done: Round, found: Snapshot, database_url: str) -> None:
    """Check the job's rows in SQL. Raises CommandError when the database can't be asked."""
    try:
        with connect(database_url, "canary") as conn, transaction(conn):
            counted = row(conn, "canary.rows", job_id=found.id)
    except psycopg.Error as error:
        raise CommandError(f"the database can't be asked: {described(error)}") from None
    regions, units = len(found.regions), found.job["progress"]["total"]
    wanted = {
        "jobs": 1,
        "idempotency_keys": 1,
        "published": regions,
        "unpublished": 0,
        "finished_regions": regions,
        "executions": units,
        "answers": len(found.rows),
        "region_results": regions,
    }
    for name, count in wanted.items():
        done.expect(f"rows in SQL, {name}", (counted or {}).get(name), count)
