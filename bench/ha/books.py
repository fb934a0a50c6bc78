"""Compares the client's list of accepted jobs with the API, the provider's own log and `beacon verify`."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.chaos.client import Submission
from bench.chaos.tally import Cell, Tally, check, read_job
from runner_cli.home import CHECKOUT


def count(api_url: str, database_url: str, env: Mapping[str, str], log: Path, sent: Sequence[Submission]) -> Tally:
    """Count everything. No job is open."""
    tally = Tally()
    calls: dict[str, dict[Cell, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in log.read_text().splitlines():
        call = json.loads(line)
        prompt = call["body"]["messages"][-1]["content"]  # it begins with its job
        calls[prompt.split()[0]][call["path"].split("/")[1], call["body"]["model"], prompt].append(call["time"])
    for submission in sent:
        if submission.accepted is None:
            tally.unanswered_clients += not submission.refusal
            continue
        tally.accepted += 1
        check(tally, submission, *read_job(api_url, submission), calls)
    command = [sys.executable, "-m", "runner_cli", "verify"]
    own = {**env, "DATABASE_URL": database_url}
    done = subprocess.run(command, env=own, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    tally.verified = done.returncode == 0
    if not tally.verified:
        sys.stderr.write(done.stdout + done.stderr)
    return tally
