"""Answers that say where they come from, and requests that say where they must be answered."""

import pytest
from prometheus_client import REGISTRY

from tests.asking import KEY, Make, failure, question
from tests.outcome_rows import body
from tests.provider_server import ProviderServer


def message(place: str | None) -> dict[str, object]:
    usage = {"input_tokens": 9, "output_tokens": 4} | ({} if place is None else {"inference_geo": place})
    return {
        "model": "claude-x",
        "content": [{"type": "text", "text": "Lima."}],
        "stop_reason": "end_turn",
        "usage": usage,
    }


def test_anthropic_is_asked_natively(server: ProviderServer, make: Make) -> None:
    server.add_rule(**body(message("eu"), request_id="req_1"))
    providers, provider = make("anthropic", geography="eu")
    reply = providers.ask(provider, question())
    (call,) = server.calls
    assert call.path == "/US/v1/v1/messages"
    assert (call.headers["x-api-key"], call.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in call.headers
    assert call.body["inference_geo"] == "eu"
    assert (call.body["system"], call.body["max_tokens"]) == ("You are in the US.", 500)
    assert not {"seed", "stream"} & call.body.keys()
    assert reply.answer.served == {"model": "claude-x", "geography": "eu", "request_id": "req_1"}
    assert reply.sent == {"model": "upstream-1", "max_tokens": 500, "temperature": 0.1, "inference_geo": "eu"}


def test_an_answer_from_elsewhere_is_refused_and_its_tokens_are_kept(server: ProviderServer, make: Make) -> None:
    server.add_rule(**body(message("us")))
    failed = failure(make("anthropic", geography="eu", id="placed"), question(model_id="placed-model"))
    assert (failed.code, failed.calls, failed.paid) == ("wrong_region", 1, "yes")
    assert failed.error["usage"] == {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    assert failed.error["served"] == {"model": "claude-x", "geography": "us"}
    assert failed.error["message"].endswith("'us'")
    counted = REGISTRY.get_sample_value(
        "provider_calls_paid_total", {"region": "US", "provider": "placed", "paid": "yes"}
    )
    tokens = {"region": "US", "model": "placed-model", "direction": "output"}
    assert (counted, REGISTRY.get_sample_value("provider_tokens_total", tokens)) == (1, 4)


@pytest.mark.parametrize("place", [None, "EU", "not_available", ""])
def test_what_is_not_known_is_accepted(server: ProviderServer, make: Make, place: str | None) -> None:
    server.add_rule(**body(message(place)))
    providers, provider = make("anthropic", geography="eu")
    assert providers.ask(provider, question()).response == "Lima."


def test_without_a_geography_nothing_is_compared(server: ProviderServer, make: Make) -> None:
    server.add_rule(**body(message("us")))
    providers, provider = make("anthropic")
    assert providers.ask(provider, question()).answer.served["geography"] == "us"
    assert "inference_geo" not in server.calls[0].body


def test_a_router_that_answers_from_elsewhere_keeps_the_tokens(server: ProviderServer, make: Make) -> None:
    document = {"success": True, "response": "x", "metadata": {"region": "eu-west", "completion_tokens": 4}}
    server.add_rule(**body(document))
    failed = failure(make("hybrid"), question())
    assert (failed.code, failed.error["usage"]) == ("wrong_region", {"completion_tokens": 4})


def test_the_sandbox_can_answer_from_elsewhere(make: Make) -> None:
    made = make("sandbox", geography="eu", options={"geography": "us"})
    assert failure(made, question()).code == "wrong_region"
