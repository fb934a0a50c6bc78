"""The diagnosis of a job as the API shows it, from rows that processes wrote."""

from typing import Any

from runner_core.store import answers
from runner_core.store.answers import Started
from tests.integration.api_client import Api


def test_a_job_tells_what_it_waits_for(api: Api) -> None:
    def waiting() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.get(f"/jobs/{job_id}")["waiting"]
        return found

    job_id = api.submit(constraints={"regions": ["US"]})
    assert "no publisher is alive" in waiting()[0]["text"]
    for kind, region in (("publisher", None), ("worker", "US")):
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version) VALUES (%s, %s, %s, 'h', 1, '0')",
            kind,
            kind,
            region,
        )
    assert "a publisher is about to send it" in waiting()[0]["text"]
    # A Redis that is away counts against no message: workers are not to blame.
    api.sql("UPDATE outbox SET created_at = now() - interval '2 minutes'")
    late = waiting()[0]
    assert late["text"].endswith("though a publisher is alive: Redis may be down.")
    assert (late["subject"], late["remedy"], late["serious"]) == ("US", "beacon doctor", True)
    api.sql("UPDATE outbox SET processed_at = now()")
    assert "1 worker is alive and busy or about to take it" in waiting()[0]["text"]
    api.finish(job_id, "US", {"m1": False})
    assert sorted((one["subject"], one["text"]) for one in waiting()) == [
        ("http_503", "1 call of m1 in US: no answer to q1"),
        ("http_503", "1 call of m1 in US: no answer to q2"),
    ]


def test_a_late_job_names_who_is_silent_and_who_does_not_answer(api: Api) -> None:
    def waiting() -> dict[str, str]:
        return {one["subject"]: one["text"] for one in api.get(f"/jobs/{job_id}")["waiting"]}

    def process(name: str, pid: int, started: int, seen: int) -> None:
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version, started_at, seen_at) VALUES"
            " (%s, 'worker', 'EU', 'h', %s, '0', now() - make_interval(secs => %s), now() - make_interval(secs => %s))",
            *(name, pid, started, seen),
        )

    job_id = api.submit(constraints={"regions": ["US", "EU"], "min_regions": 2})
    api.sql("UPDATE outbox SET processed_at = now()")
    process("long gone", 1, 900, 600)
    process("silent", 2, 300, 120)  # told in minutes, so that a slow reading is told alike
    assert waiting()["EU"].endswith("and no worker of EU is alive: process 2 on h has been silent for 2 min.")
    remedy = api.get(f"/jobs/{job_id}")["waiting"][1]["remedy"]
    assert remedy.startswith("kill -9 2 if it hangs")
    assert remedy.endswith("python -m runner_worker --region EU")
    process("its heir", 3, 60, 1)
    assert "1 worker is alive" in waiting()["EU"], "who was replaced is not told of"

    token = api.claim(job_id, "US")
    with api.worker.transaction() as conn:
        answers.start(conn, [Started(job_id, "US", "m1", "q1", 1, "slow-us", token)]).fetchall()
    api.sql("UPDATE region_runs SET started_at = now() - interval '3 minutes' WHERE region = 'US'")
    assert waiting()["US"] == "0 of 2 calls are done after 3 min."
    api.sql("UPDATE answers SET started_at = now() - interval '2 minutes'")
    asked = "slow-us has not answered for 2 min; a call is given up after 5 min."
    assert waiting()["US"] == f"0 of 2 calls are done after 3 min. {asked}"

    api.finish(job_id, "EU", {"m1": False})
    told = waiting()
    assert told["EU"] == "It failed: http_503."
    assert told["Job"] == "2 regions must succeed, and only 1 can still succeed: the job will end as failed."
