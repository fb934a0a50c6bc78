"""What is kept of a call beside its text."""

from typing import Any

from runner_worker.engine.provenance import Provenance, output_of
from runner_worker.providers import CallFailed
from tests.receipts import SENT, SERVED, reply


def failure(error: dict[str, Any], **more: Any) -> CallFailed:
    return CallFailed({"code": "http_503", "message": "m"} | error, "m", 1, [], **more)


def test_an_answer_keeps_who_answered_what_was_sent_and_its_times() -> None:
    assert Provenance.of(reply(paid="maybe")) == (SERVED, SENT, 1200, 300, "maybe")
    assert Provenance.of(reply(served={})).served == {}, "the provider does not say, which differs from not known"


def test_a_failure_keeps_what_was_sent_and_the_request_id() -> None:
    told = Provenance.of_failure(failure({"request_id": "req_0"}, sent=SENT, paid="maybe"))
    assert told == ({"request_id": "req_0"}, SENT, None, None, "maybe")
    wrong_region = failure({"request_id": "req_0", "served": {"model": "m", "geography": "us"}})
    assert Provenance.of_failure(wrong_region).served == {"model": "m", "geography": "us", "request_id": "req_0"}
    assert Provenance.of_failure(failure({})) == (None, None, None, None, "no"), "nothing was sent"


def test_an_ordinary_answer_has_no_further_members() -> None:
    assert output_of(reply()) == {
        "response": "Paris.",
        "refused": False,
        "refusal_source": None,
        "finish_reason": "stop",
        "usage": {"total_tokens": 20},
        "simulated": False,
        "served": SERVED,
    }


def test_what_a_filter_said_and_what_had_arrived_is_kept() -> None:
    blocked = reply(
        "", refusal_source="filter", answer={"filter": "output", "filter_words": "violence", "partial": "Once upon"}
    )
    shown = output_of(blocked)
    assert (shown["response"], shown["refused"], shown["refusal_source"]) == ("", True, "filter")
    assert (shown["filter"], shown["filter_words"], shown["partial"]) == ("output", "violence", "Once upon")


def test_thoughts_and_other_parts_stand_beside_the_answer() -> None:
    shown = output_of(reply(answer={"thoughts": "Hm.", "other_parts": ("audio",)}))
    assert (shown["response"], shown["thoughts"], shown["other_parts"]) == ("Paris.", "Hm.", ["audio"])
