"""Jobs whose regions answered several runs, for tests of what a comparison shows."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from runner_core.store import answers
from runner_core.store.answers import Finished, Started
from tests.integration.api_client import Api, failure, output

REFUSAL = "I'm sorry, but I can't help with that."
Answer = Callable[[str, int, int], str | None]  # (region, number of the question, run): None for a failure


def asked(
    api: Api, answer: Answer, *, questions: int = 8, runs: int = 1, regions: tuple[str, ...] = ("EU", "US")
) -> str:
    """A job that has ended: model m1 was asked so many questions in these regions. Returns its id."""
    texts = [f"What is the name of number {number}?" for number in range(questions)]
    job_id = api.submit(questions=texts, runs=runs, constraints={"regions": list(regions), "min_regions": 1})
    keys = [question["id"] for question in api.sql("SELECT questions FROM jobs WHERE id = %s", job_id)[0][0]]
    for region in regions:
        token = api.claim(job_id, region)
        given = {
            (key, run): answer(region, number, run) for number, key in enumerate(keys) for run in range(1, runs + 1)
        }
        _store(api, job_id, region, token, given)
        api.record(job_id, region, token, {"m1": any(text is not None for text in given.values())})
    return job_id


def _store(api: Api, job_id: str, region: str, token: str, given: dict[tuple[str, int], str | None]) -> None:
    now, provider = datetime.now(UTC), f"sandbox-{region.lower()}"
    with api.worker.transaction() as conn:
        answers.start(conn, [Started(job_id, region, "m1", *place, provider, token) for place in given]).fetchall()
        answers.finish(
            conn,
            [
                Finished(
                    *(job_id, region, "m1", *place, token, 1),
                    *("failed" if text is None else "ok", provider, 1, now, 5),
                    None if text is None else json.dumps(output(text)),
                    json.dumps(failure("no answer")) if text is None else None,
                    "[]",
                )
                for place, text in given.items()
            ],
        )
