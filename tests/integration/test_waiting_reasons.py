"""Where a job's calls wait at a provider: the API, its pages and administrators' JSON say the same."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner_core.store import answers
from runner_core.store.answers import Started
from tests.integration.api_client import ADMIN_HEADER, Api
from tests.integration.portal_pages import get

UNTIL = datetime.now(UTC) + timedelta(days=1)  # the tests read this file many minutes before they run
SENTENCE = f"sandbox-us is paused for m1 until {UNTIL:%H:%M:%S} UTC after 12 failures (last http_500); 400 calls wait."


def state(**changes: Any) -> dict[str, Any]:
    return {
        **{"provider": "sandbox-us", "model": "m1", "in_flight": 0, "in_flight_since": None, "width": 16},
        **{"waiting": 400, "failures": 12, "open_until": UNTIL.isoformat(), "last_code": "http_500"},
    } | changes


def worker(api: Api, pid: int, *states: dict[str, Any], silent: float = 0, told: bool = True) -> None:
    """The row of a worker of US, as its heartbeat writes it; an earlier release told nothing."""
    api.sql(
        "INSERT INTO processes (id, kind, region, host, pid, version, started_at, seen_at, providers) VALUES"
        " (%s, 'worker', 'US', 'h', %s, '0', now() - interval '1 hour', now() - make_interval(secs => %s), %s)",
        *(f"w{pid}", pid, silent, json.dumps(states) if told else None),
    )


@pytest.fixture
def job_id(api: Api) -> str:
    """A job whose region US a worker took three minutes ago: one of its two calls has begun, two minutes ago."""
    job_id = api.submit(constraints={"regions": ["US"]})
    token = api.claim(job_id, "US")
    with api.worker.transaction() as conn:
        answers.start(conn, [Started(job_id, "US", "m1", "q1", 1, "sandbox-us", token)]).fetchall()
    api.sql("UPDATE region_runs SET worker = 'us-h-7-ab12', started_at = now() - interval '3 minutes'")
    api.sql("UPDATE answers SET started_at = now() - interval '2 minutes'")
    return job_id


def waiting(api: Api, job_id: str) -> str:
    (sentence,) = api.get(f"/jobs/{job_id}")["waiting"]
    assert sentence["subject"] == "US"
    return str(sentence["text"])


def providers_of(page: str) -> str:
    """The words of the Providers section of the Operations page, without tags."""
    section = page.partition('aria-labelledby="w"')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", section).split())


def test_a_paused_model_is_told_everywhere(api: Api, job_id: str) -> None:
    worker(api, 7, state())
    assert waiting(api, job_id) == f"0 of 2 calls are done after 3 min. {SENTENCE}"
    assert SENTENCE in get(api, f"/jobs/{job_id}")
    words = providers_of(get(api, "/operations"))
    assert f"US sandbox-us m1 0 of 16 400 open until {UNTIL:%H:%M:%S} UTC after 12 failures in a row http_500" in words
    (process,) = api.client.get("/admin/processes", headers=ADMIN_HEADER).get_json()["processes"]
    assert process["providers"] == [state()]


def test_a_half_open_breaker_is_told_in_words(api: Api, job_id: str) -> None:
    worker(api, 7, state(open_until="2026-01-01T00:00:00Z", in_flight=1, waiting=1))
    assert "sandbox-us gets one call at a time for m1 after 12 failures (last http_500); 1 call waits." in waiting(
        api, job_id
    )
    assert "1 of 16 1 half open: one call at a time after 12 failures in a row" in providers_of(get(api, "/operations"))


def test_a_provider_that_was_asked_and_is_silent_is_named(api: Api, job_id: str) -> None:
    asked = state(in_flight=1, in_flight_since="2026-01-01T00:00:00Z", waiting=0, failures=0, open_until=None)
    worker(api, 7, asked)
    assert "sandbox-us has not answered for 2 min; a call is given up after 5 min." in waiting(api, job_id)
    assert "closed" in providers_of(get(api, "/operations"))


def test_a_call_that_was_not_sent_has_no_answer_to_miss(api: Api, job_id: str) -> None:
    worker(api, 7)
    assert waiting(api, job_id) == "0 of 2 calls are done after 3 min."
    assert "none waits" in providers_of(get(api, "/operations"))


def test_a_worker_of_an_earlier_release_tells_nothing(api: Api, job_id: str) -> None:
    """It writes no states, and the job's page is as it was before."""
    worker(api, 7, state(), told=False)
    assert "paused" not in waiting(api, job_id)
    assert "sandbox-us has not answered for 2 min" in waiting(api, job_id)
    get(api, f"/jobs/{job_id}")
    assert "none waits" in providers_of(get(api, "/operations"))
    (process,) = api.client.get("/admin/processes", headers=ADMIN_HEADER).get_json()["processes"]
    assert process["providers"] is None


def test_a_silent_worker_is_not_believed_and_no_answer_to_it_is_missed(api: Api, job_id: str) -> None:
    worker(api, 7, state(), silent=60)
    text = waiting(api, job_id)
    assert text.startswith(
        "0 of 2 calls are done after 3 min. Its worker is not alive: process 7 on h has been silent for"
    )
    assert text in get(api, f"/jobs/{job_id}")
    assert "none waits" in providers_of(get(api, "/operations"))


def test_a_job_hears_of_its_own_worker_and_operations_of_both(api: Api, job_id: str) -> None:
    worker(api, 7, state(failures=0, open_until=None, waiting=3, in_flight=16, in_flight_since=None, last_code="ok"))
    worker(api, 8, state())
    text = waiting(api, job_id)
    assert text.endswith(" sandbox-us has 16 calls of m1 in flight and takes 16 at once; 3 calls wait.")
    words = providers_of(get(api, "/operations"))
    assert f"16 of 32 403 open until {UNTIL:%H:%M:%S} UTC after 12 failures in a row, in 1 of 2 workers" in words


def test_a_job_that_needs_another_model_hears_nothing(api: Api, job_id: str) -> None:
    worker(api, 7, state(model="m2"))
    assert waiting(api, job_id) == "0 of 2 calls are done after 3 min."


def test_names_of_providers_are_text_on_the_page(api: Api, job_id: str) -> None:
    worker(api, 7, state(provider="<b>p</b>"))
    assert "<b>p</b>" not in get(api, "/operations") + get(api, f"/jobs/{job_id}")
