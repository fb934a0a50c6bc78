"""Keeps what a careful client keeps: the answers to its submissions, and the receipts of its results, as files."""

import json
import threading
from pathlib import Path

from bench.chaos.client import Client
from bench.chaos.tally import TERMINAL
from tests.http_requests import request

PAUSE_SECONDS = 0.5
Result = tuple[str, str, str]  # job id, region, model


class Keeper:
    """Asks the API for the results of `client`'s jobs until `stop`. `folder` is what `beacon verify --receipts` reads.

    `jobs` and `results` are what the files of the folder name.
    """

    def __init__(self, client: Client, api_url: str, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.jobs: set[str] = set()
        self.results: set[Result] = set()
        self._client, self._api_url = client, api_url
        self._complete: set[str] = set()  # jobs that have ended and whose receipts are kept
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after one more look."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        last = False
        with (self.folder / "accepted.jsonl").open("w") as accepted, (self.folder / "receipts.jsonl").open("w") as kept:
            while not last:
                last = self._stopped.wait(PAUSE_SECONDS)
                for submission in self._client.accepted():
                    (job_id,) = submission.ids
                    if job_id not in self.jobs:
                        self.jobs.add(job_id)
                        print(json.dumps({"job_id": job_id}), file=accepted, flush=True)
                    if job_id not in self._complete:
                        for receipt in self._receipts(job_id):
                            self.results.add((job_id, receipt["region"], receipt["model_id"]))
                            print(json.dumps(receipt), file=kept, flush=True)

    def _receipts(self, job_id: str) -> list[dict[str, str]]:
        """Return the receipts of a job that has ended; an empty list for another job, or without an answer."""
        status, job = request("GET", f"{self._api_url}/api/v1/jobs/{job_id}?include=executions")
        if status != 200 or job["status"] not in TERMINAL:
            return []
        ids = {row["execution_id"] for row in job["executions"]}
        answers = [request("GET", f"{self._api_url}/api/v1/executions/{one}/receipt") for one in sorted(ids)]
        if any(status != 200 for status, _ in answers):
            return []
        self._complete.add(job_id)
        return [receipt for _, receipt in answers]
