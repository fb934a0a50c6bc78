"""Compares, after the faults, the promises with the facts.

The client's list says which jobs were accepted, the provider's log which calls were made, and the API which results
there are. Only the events, the times of recovery and `beacon verify` are read from the database.
"""

import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.chaos import tries
from bench.chaos.client import Submission
from bench.chaos.deployment import Deployment
from runner_cli.home import CHECKOUT
from tests.http_requests import request

TERMINAL = ("completed", "failed", "cancelled")
Cell = tuple[str, str, str]  # region, model, question


@dataclass
class Tally:
    """The totals of a run. `lost`, `duplicated` and `wrong` have the broken promises, each with its Unix time."""

    accepted: int = 0
    terminal: int = 0
    region_runs: int = 0
    answers: int = 0
    calls: int = 0  # calls that the provider answered well
    vain_calls: int = 0  # calls for questions that have no answer in the end
    unanswered_clients: int = 0  # submissions that never got an answer
    lost: list[tuple[float, str]] = field(default_factory=list)
    duplicated: list[tuple[float, str]] = field(default_factory=list)
    wrong: list[tuple[float, str]] = field(default_factory=list)
    repeated: list[float] = field(default_factory=list)  # one Unix time a repeated call
    tries: int = 0  # rows of the table `tries`
    received: int = 0  # requests in the provider's own log
    struck: list[str] = field(default_factory=list)  # tries that a fault kept from the provider, one by one
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # error codes of failed questions
    verified: bool = False

    @property
    def clean(self) -> bool:
        """Return whether every promise was kept."""
        return self.verified and not (self.lost or self.duplicated or self.wrong)


def total(tallies: Sequence[Tally]) -> Tally:
    """Return the sum of the tallies of several stacks."""
    found = Tally(verified=all(one.verified for one in tallies))
    for name in (one.name for one in fields(Tally) if one.name != "verified"):
        for one in tallies:
            setattr(found, name, getattr(found, name) + getattr(one, name))
    return found


def count(deployment: Deployment, submissions: Sequence[Submission]) -> Tally:
    """Count everything. The stack runs without faults and has no open jobs."""
    tally = Tally()
    accepted = [s for s in submissions if s.accepted is not None]
    tally.accepted = len(accepted)
    tally.unanswered_clients = sum(s.accepted is None and not s.refusal for s in submissions)
    tally.wrong += [(s.began, f"{s.key}: refused, {s.refusal}") for s in submissions if s.refusal]
    calls = good_calls(deployment.calls)
    tally.calls = sum(len(times) for cells in calls.values() for times in cells.values())
    # Read from the API directly, because faults use the proxy before it.
    with ThreadPoolExecutor(8) as readers:
        found = readers.map(lambda s: (s, *read_job(deployment.local.api_url, s)), accepted)
        for submission, job, events in found:
            check(tally, submission, job, events, calls)
    for label, jobs in jobs_by_label(deployment).items():
        if jobs > 1:
            tally.duplicated.append((0.0, f"{label}: {jobs} jobs of one submission"))
    if tally.calls != tally.answers + len(tally.repeated) + tally.vain_calls and not tally.unanswered_clients:
        tally.wrong.append((0.0, f"{tally.calls} calls are not answers, repeated and vain ones together"))
    tries.compare(tally, tries.cells(deployment), tries.requests(deployment.calls))
    tally.verified = verify(deployment)
    return tally


def read_job(api_url: str, submission: Submission) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    path = f"{api_url}/api/v1/jobs/{next(iter(submission.ids))}"
    status, job = request("GET", f"{path}?include=executions")
    if status != 200:
        return None, []
    _, events = request("GET", f"{path}/events")
    return job, events.get("events", [])


def check(
    tally: Tally,
    submission: Submission,
    job: dict[str, Any] | None,
    events: list[dict[str, Any]],
    calls: dict[str, dict[Cell, list[float]]],
) -> None:
    """Check one accepted job: it exists, it has ended, and each answer exists once, is right and was asked once."""
    at, name = submission.accepted or 0.0, submission.key
    if len(submission.ids) > 1:
        tally.duplicated.append((at, f"{name}: accepted as {len(submission.ids)} jobs"))
    if job is None:
        tally.lost.append((at, f"{name}: accepted and unknown"))
        return
    if job["status"] not in TERMINAL:
        tally.lost.append((at, f"{name}: {job['status']}"))
        return
    tally.terminal += 1
    tally.statuses[job["cross_region"]["status"]] += 1
    tally.region_runs += len(submission.regions)
    rows = [row for row in job["executions"] if row["status"] in TERMINAL]
    tally.failures.update((row["error_detail"] or {}).get("code", "?") for row in rows if row["status"] != "completed")
    units = Counter((row["region"], row["model_id"]) for row in rows)
    for region, model in dict.fromkeys((region, model) for region, model, _ in submission.cells):
        missing = len(submission.questions) - units[region, model]
        if missing > 0:
            tally.lost.append((at, f"{name}: {missing} rows missing in {region} {model}"))
        elif missing < 0:
            tally.duplicated.append((at, f"{name}: {-missing} rows too many in {region} {model}"))
    answers = Counter((r["region"], r["model_id"], r["output"]["response"]) for r in rows if r["status"] == "completed")
    tally.answers += answers.total()
    expected = {(r, m, answer_text(r, m, q)): (r, m, q) for r, m, q in submission.cells}
    answered: set[Cell] = set()
    for row, times in answers.items():
        if row not in expected:
            tally.wrong.append((at, f"{name}: an answer that nobody gave in {row[0]} {row[1]}"))
            continue
        if times > 1:
            tally.duplicated.append((at, f"{name}: an answer stored {times} times"))
        asked = sorted(calls.get(name, {}).get(expected[row], []))
        if not asked:
            tally.wrong.append((at, f"{name}: answered and never asked"))
        tally.repeated += asked[1:]
        answered.add(expected[row])
    vain = {cell: times for cell, times in calls.get(name, {}).items() if cell not in answered}
    tally.vain_calls += sum(map(len, vain.values()))
    failed = Counter((row["region"], row["model_id"]) for row in rows if row["status"] != "completed")
    for (region, model), asked_in_vain in Counter((region, model) for region, model, _ in vain).items():
        if asked_in_vain > failed[region, model]:
            tally.wrong.append((at, f"{name}: asked, and neither answered nor failed, in {region} {model}"))
    tally.wrong += [(at, f"{name}: {complaint}") for complaint in (*_status(job, rows), *_timeline(job, events))]


def _status(job: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the mistakes in the job's status, which is computed here from its rows by the documented rule."""
    cross = job["cross_region"]
    succeeded = {row["region"] for row in rows if row["status"] == "completed"}
    if len(succeeded) != cross["success_count"]:
        yield f"success_count {cross['success_count']}, but {len(succeeded)} regions have an answer"
    if len(succeeded) < cross["min_regions_required"]:
        status = "failed"
    elif len(succeeded) / cross["total_regions"] < cross["min_success_rate"]:
        status = "partial"
    else:
        status = "completed"
    if cross["status"] != status:
        yield f"cross-region status {cross['status']}, its rows say {status}"
    if job["status"] != ("completed" if status == "partial" else status):
        yield f"status {job['status']}, its rows say {status}"


def _timeline(job: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the mistakes in the events: they have no gaps, go from submission to end, and end each region once."""
    if [event["seq"] for event in events] != list(range(1, job["version"] + 1)):
        yield f"{len(events)} events for version {job['version']}"
        return
    kinds = Counter(event["type"] for event in events)
    regions = job["cross_region"]["total_regions"]
    if events[0]["type"] != "submitted" or events[-1]["type"] != f"job_{job['status']}":
        yield f"a timeline from {events[0]['type']} to {events[-1]['type']}"
    if kinds["region_finished"] != regions or kinds["execution_recorded"] != job["progress"]["total"]:
        yield f"{kinds['region_finished']} regions and {kinds['execution_recorded']} units ended in the timeline"


def good_calls(log: Path) -> dict[str, dict[Cell, list[float]]]:
    """Return the times of the calls that the provider answered well, by job and cell. A prompt begins with its job."""
    found: dict[str, dict[Cell, list[float]]] = defaultdict(lambda: defaultdict(list))
    with log.open() as lines:
        for line in lines:
            call = json.loads(line)
            if call["fault"] == "none":
                prompt = call["body"]["messages"][-1]["content"]
                cell = (call["path"].split("/")[1], call["body"]["model"], prompt)
                found[prompt.split()[0]][cell].append(call["time"])
    return found


def answer_text(region: str, model: str, question: str) -> str:
    """Return the provider's answer to a question. It follows from the request alone."""
    seed = f"/{region}/v1/chat/completions|{model}|{question}"
    return f"answer {hashlib.sha256(seed.encode()).hexdigest()[:12]}"


def jobs_by_label(deployment: Deployment) -> Counter[str]:
    rows = deployment.ask("SELECT spec #>> '{metadata,created_by}' AS label, count(*) AS jobs FROM jobs GROUP BY 1")
    return Counter({row["label"]: row["jobs"] for row in rows})


def verify(deployment: Deployment, *options: str) -> bool:
    """Return whether `beacon verify` finds every invariant kept. Write its output to stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "runner_cli", "verify", *options],
        env={**deployment.local.env, "DATABASE_URL": deployment.postgres.url},
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    sys.stderr.write(done.stdout)
    return done.returncode == 0
