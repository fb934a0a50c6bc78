"""Why a job has not ended, or why it failed, told from rows alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner_api.views.diagnosis import Diagnosis, Sentence
from runner_core.statuses import ALIVE_SECONDS

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def job(**changes: Any) -> dict[str, Any]:
    return {
        "status": "queued",
        "created_at": ago(100),
        "provider_timeout_seconds": 300.0,
        "min_regions_required": 1,
    } | changes


def region(name: str = "US", **changes: Any) -> dict[str, Any]:
    """A planned region whose message waits in the queue."""
    return {
        "region": name,
        "status": "pending",
        "attempt": 0,
        "max_attempts": 3,
        "dead_at": None,
        "publish_error": None,
        "publish_attempts": 0,
        "staged_at": ago(60),
        "published_at": ago(50),
        "started_at": None,
        "finished_at": None,
        "lease_expires_at": None,
        "deadline": None,
        "last_error": None,
        "worker": None,
    } | changes


def running(**changes: Any) -> dict[str, Any]:
    return (
        region(status="running", attempt=1, started_at=ago(30), lease_expires_at=ago(-15), deadline=ago(-600)) | changes
    )


def call(status: str, **changes: Any) -> dict[str, Any]:
    return {
        "region": "US",
        "model_id": "m1",
        "status": status,
        "provider_id": "p-us",
        "started_at": ago(5),
        "error_detail": None,
    } | changes


def failed(code: str, provider: str | None = "p-us", **changes: Any) -> dict[str, Any]:
    return call("failed", error_detail={"code": code, "message": f"It is {code}.", "provider": provider}) | changes


def process(kind: str, name: str | None = None, silent: float = 1.0) -> dict[str, Any]:
    return {"kind": kind, "region": name, "seconds_since": silent, "pid": 7, "host": "h", "providers": None}


ALIVE = [process("publisher"), process("worker", "US"), process("worker", "EU")]


def explained(
    regions: list[dict[str, Any]],
    rows: list[dict[str, Any]] | None = None,
    processes: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> list[Sentence]:
    return Diagnosis(job(**changes), regions, rows or [], ALIVE if processes is None else processes, NOW).explain()


def one(*arguments: Any, **changes: Any) -> Sentence:
    (sentence,) = explained(*arguments, **changes)
    return sentence


class TestQueued:
    def test_with_a_worker_it_passes_by_itself(self) -> None:
        sentence = one([region()])
        assert sentence == Sentence(
            "US", "It has been in the queue for 50 s; 1 worker is alive and busy or about to take it."
        )
        two = one([region()], [], [*ALIVE, process("worker", "US")])
        assert "2 workers are alive" in two.text

    def test_without_a_worker_the_command_is_the_remedy(self) -> None:
        sentence = one([region()], [], [process("publisher"), process("worker", "EU")])
        assert sentence.text == "It has been in the queue for 50 s, and no worker of US is alive."
        assert (sentence.remedy, sentence.serious) == ("python -m runner_worker --region US", True)

    def test_a_silent_worker_is_named(self) -> None:
        sentence = one([region()], [], [process("worker", "US", ALIVE_SECONDS + 1), process("worker", "US", 80)])
        assert "no worker of US is alive: process 7 on h has been silent for 21 s" in sentence.text
        assert sentence.remedy.startswith("kill -9 7 if it hangs")
        assert sentence.serious

    @pytest.mark.parametrize(("silent", "serious"), [(ALIVE_SECONDS - 1, False), (ALIVE_SECONDS, True)])
    def test_a_process_is_alive_as_long_as_everywhere_else(self, silent: float, serious: bool) -> None:
        assert one([region()], [], [process("worker", "US", silent)]).serious is serious

    def test_an_unfinished_attempt_is_told(self) -> None:
        assert one([region(attempt=2)]).text.endswith(" Attempt 2 of 3 did not finish.")

    def test_regions_are_in_order(self) -> None:
        found = explained([region("EU"), region("US"), region("ZZ")])
        assert [sentence.subject for sentence in found] == ["US", "EU", "ZZ"]


class TestUnpublished:
    def test_a_publisher_is_about_to_send_it(self) -> None:
        sentence = one([region(published_at=None, staged_at=ago(3))])
        assert sentence.text == "It has waited in the outbox for 3 s; a publisher is about to send it."
        assert not sentence.serious

    def test_without_a_publisher(self) -> None:
        sentence = one([region(published_at=None)], [], [process("worker", "US")])
        assert "no publisher is alive" in sentence.text
        assert (sentence.remedy, sentence.serious) == ("python -m outbox_publisher", True)

    def test_with_a_publisher_an_old_message_points_at_redis(self) -> None:
        sentence = one([region(published_at=None, staged_at=ago(11))])
        assert "Redis may be down" in sentence.text
        assert (sentence.remedy, sentence.serious) == ("beacon doctor", True)

    def test_what_failed_is_told(self) -> None:
        sentence = one([region(published_at=None, publish_attempts=2, publish_error="READONLY")])
        assert "Publishing failed 2 times: READONLY." in sentence.text
        assert sentence.serious

    @pytest.mark.parametrize(("error", "words"), [("too large", "too large"), (None, "no reason is known")])
    def test_a_dead_message_is_sent_again_by_hand(self, error: str | None, words: str) -> None:
        sentence = one([region(dead_at=ago(1), publish_error=error)])
        assert sentence.text == f"Its message could not be delivered: {words}."
        assert "Operations" in sentence.remedy


class TestRunning:
    def test_how_far_it_is(self) -> None:
        sentence = one([running()], [call("completed"), call("running"), call("pending", provider_id=None)])
        assert sentence == Sentence("US", "1 of 3 calls are done after 30 s.")
        assert one([running(attempt=2)], [call("completed")]).text == "1 of 1 call is done after 30 s, attempt 2 of 3."

    def test_errors_so_far_are_told_once_each(self) -> None:
        rows = [failed("timeout"), failed("timeout"), failed("refused", None), call("running")]
        assert "Errors so far: refused, timeout from p-us." in one([running()], rows).text

    def test_a_slow_provider_is_named(self) -> None:
        text = one([running()], [call("running", started_at=ago(11))]).text
        assert "p-us has not answered for 11 s; a call is given up after 5 min." in text
        assert "has not answered" not in one([running()], [call("running", started_at=ago(9))]).text

    @pytest.mark.parametrize(("processes", "serious"), [(ALIVE, False), ([], True)])
    def test_an_expired_lease(self, processes: list[dict[str, Any]], serious: bool) -> None:
        sentence = one([running(lease_expires_at=ago(4))], [], processes)
        assert "its lease ran out 4 s ago" in sentence.text
        assert sentence.serious is serious

    def test_past_its_deadline(self) -> None:
        sentence = one([running(deadline=ago(20))])
        assert sentence.text.endswith("It is past its deadline by 20 s.")
        assert sentence.serious


def telling(*states: dict[str, Any], silent: float = 1.0) -> list[dict[str, Any]]:
    """A publisher, and the worker of US that `mine` names, with the states of its providers."""
    return [process("publisher"), process("worker", "US", silent) | {"providers": list(states)}]


def state(**changes: Any) -> dict[str, Any]:
    """One call of m1 was sent 40 s ago."""
    return {
        **{"provider": "p-us", "model": "m1", "in_flight": 1, "in_flight_since": ago(40).isoformat(), "width": 8},
        **{"waiting": 0, "failures": 0, "open_until": None, "last_code": None},
    } | changes


PAUSED = state(
    in_flight=0, in_flight_since=None, waiting=400, failures=12, open_until=ago(-30).isoformat(), last_code="http_500"
)


class TestProviders:
    """The worker of the region tells what its calls wait for."""

    def mine(self, **changes: Any) -> dict[str, Any]:
        return running(worker="us-h-7-ab12") | changes

    def test_a_paused_model_is_told_with_its_calls_that_wait(self) -> None:
        text = one([self.mine()], [call("running", started_at=ago(25))], telling(PAUSED)).text
        assert text == (
            "0 of 1 call is done after 30 s. p-us is paused for m1 until 12:00:30 UTC after 12 failures "
            "(last http_500); 400 calls wait."
        )

    def test_no_answer_is_missed_from_a_provider_that_was_not_asked(self) -> None:
        waits = [call("running", started_at=ago(25))]
        for states in ([PAUSED], [], [state(in_flight=0, in_flight_since=None, waiting=1)]):
            assert "has not answered" not in one([self.mine()], waits, telling(*states)).text
        assert "p-us has not answered for 25 s" in one([self.mine()], waits, telling(state())).text

    def test_the_time_without_an_answer_begins_with_the_request(self) -> None:
        rows = [call("running", started_at=ago(90))]
        assert "has not answered for 40 s;" in one([self.mine()], rows, telling(state())).text
        late = state(in_flight_since=ago(9).isoformat())
        assert "has not answered" not in one([self.mine()], rows, telling(late)).text

    def test_only_models_that_the_job_still_needs_are_told(self) -> None:
        rows = [call("completed"), call("pending", model_id="m2", provider_id=None, started_at=None)]
        other = PAUSED | {"model": "m2"}
        text = one([self.mine()], rows, telling(PAUSED, other, PAUSED | {"model": "m9"})).text
        assert text.count("is paused for") == 1
        assert "p-us is paused for m2 until" in text

    def test_calls_that_wait_for_a_place(self) -> None:
        rows = [call("pending", provider_id=None, started_at=None)]
        full = state(in_flight=8, waiting=30, in_flight_since=ago(2).isoformat())
        text = one([self.mine()], rows, telling(full)).text
        assert text.endswith(" p-us has 8 calls of m1 in flight and takes 8 at once; 30 calls wait.")

    def test_a_worker_that_is_not_alive_owes_no_answer_and_pauses_nothing(self) -> None:
        rows = [call("running", started_at=ago(90))]
        again = "the region is sent again when its lease runs out, in 15 s."
        done = "0 of 1 call is done after 30 s."
        silent = one([self.mine()], rows, telling(PAUSED, silent=ALIVE_SECONDS)).text
        assert silent == f"{done} Its worker is not alive: process 7 on h has been silent for 20 s; {again}"
        replaced = one([running(worker="us-other-7-ab12")], rows, telling(PAUSED)).text
        assert replaced == f"{done} Its worker is not alive; {again}"
        late = one([self.mine(lease_expires_at=ago(3))], rows, telling(PAUSED, silent=ALIVE_SECONDS)).text
        assert (
            late == f"{done} Its worker has been silent and its lease ran out 3 s ago: the region will be sent again."
        )

    def test_a_worker_of_rq_says_nothing_about_its_calls(self) -> None:
        rows = [call("running", started_at=ago(90))]
        text = one([running(worker="rq-h-9")], rows, telling(PAUSED)).text
        assert text.endswith(" p-us has not answered for 2 min; a call is given up after 5 min.")

    def test_a_region_in_the_queue_tells_of_all_its_workers(self) -> None:
        rows = [call("pending", provider_id=None, started_at=None)]
        calm = process("worker", "US") | {"pid": 8, "providers": []}
        text = one([region()], rows, [*telling(PAUSED), calm]).text
        assert "2 workers are alive" in text
        assert text.endswith(
            " p-us is paused for m1 in 1 of 2 workers until 12:00:30 UTC after 12 failures (last http_500); "
            "400 calls wait."
        )


class TestFailed:
    def test_an_ended_region_says_why(self) -> None:
        lost = region("EU", status="failed", finished_at=ago(1), last_error="worker_crashed")
        found = explained([running(), lost])
        assert [(sentence.subject, sentence.serious) for sentence in found] == [("EU", True), ("US", False)]
        assert found[0].text == "It failed: worker_crashed."
        rows = [failed("timeout", region="EU")]
        assert explained([running(), lost], rows)[0].text == "It failed: timeout from p-us."

    @pytest.mark.parametrize(("needed", "left"), [(2, "only 1 can still succeed"), (1, None)])
    def test_too_few_regions_are_told_as_soon_as_they_are_certain(self, needed: int, left: str | None) -> None:
        lost = region("EU", status="timeout", finished_at=ago(1), last_error="deadline")
        found = explained([running(), lost], min_regions_required=needed)
        if left is None:
            assert "Job" not in [sentence.subject for sentence in found]
        else:
            assert found[-1].text == f"2 regions must succeed, and {left}: the job will end as failed."

    def test_an_ended_job_has_one_sentence_for_each_error(self) -> None:
        rows = [failed("timeout"), failed("timeout", model_id="m2"), failed("refused", None), call("completed")]
        found = explained([], rows, status="failed")
        assert [(s.subject, s.text) for s in found] == [
            ("timeout", "2 calls of m1, m2 in US: It is timeout."),
            ("refused", "1 call of m1 in US: It is refused."),
        ]
        bare = explained([], [call("failed")], status="failed")
        assert [(s.subject, s.text) for s in bare] == [("failed", "1 call of m1 in US: no message")]

    def test_a_job_that_succeeded_has_nothing_to_explain(self) -> None:
        assert explained([], [call("completed")], status="completed") == []
