"""What a provider is sent, what is kept of its answer, and over which connection."""

import threading

import pytest

from runner_core.upstreams import UpstreamModel
from tests.asking import KEY, PROMPT, Make, failure, question
from tests.provider_server import ProviderServer


def test_openai_sends_the_contract_and_keeps_the_answer(server: ProviderServer, make: Make) -> None:
    providers, provider = make()
    reply = providers.ask(provider, question())
    (call,) = server.calls
    assert call.path == "/US/v1/chat/completions"
    assert call.body == {
        "model": "upstream-1",
        "messages": [{"role": "system", "content": "You are in the US."}, {"role": "user", "content": PROMPT}],
        "temperature": 0.1,
        "max_tokens": 500,
        "seed": 7,
        "stream": False,
    }
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["x-request-id"] == "req-1"
    assert call.headers["traceparent"].startswith("00-0af7")
    assert call.headers["host"] == f"127.0.0.1:{server.port}"
    assert reply.answer.text.startswith("answer ")
    assert (reply.refused, reply.refusal_source, reply.answer.finish_reason) == (False, None, "stop")
    assert reply.answer.usage == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    assert (reply.answer.simulated, reply.answer.sanitised, reply.provider_id) == (False, False, "openai-us")
    assert (reply.calls, reply.errors) == (1, [])


def test_hybrid_sends_the_contract_and_keeps_the_answer(server: ProviderServer, make: Make) -> None:
    providers, provider = make("hybrid")
    reply = providers.ask(provider, question())
    (call,) = server.calls
    assert call.path == "/US/v1/inference"
    assert call.body == {
        "model": "upstream-1",
        "prompt": f"You are in the US.\n\n{PROMPT}",
        "temperature": 0.1,
        "max_tokens": 500,
        "region_preference": "us-east",
        "cost_priority": False,
    }
    assert reply.answer.text.startswith("answer ")
    assert reply.answer.usage == {"inference_time": 0.01, "cost_estimate": 0.0001, "provider_used": "loopback"}


def test_a_name_alone_is_asked_as_the_provider_is_configured(server: ProviderServer, make: Make) -> None:
    configured = UpstreamModel("upstream-1", rename={"max_tokens": "max_completion_tokens"})
    providers, provider = make(models={"m1": configured})
    providers.ask(provider, question(upstream="m1"))
    assert server.calls[0].body["model"] == "upstream-1"
    assert server.calls[0].body["max_completion_tokens"] == 500


def test_a_connection_is_used_again(server: ProviderServer, make: Make) -> None:
    providers, provider = make()
    for _ in range(5):
        providers.ask(provider, question())
    assert {call.connection for call in server.calls} == {1}


def test_a_request_id_that_no_header_can_carry_is_left_out(server: ProviderServer, make: Make) -> None:
    providers, provider = make()
    providers.ask(provider, question(request_id="a\r\nX-Evil: 1", traceparent=""))
    assert not {"x-request-id", "x-evil", "traceparent"} & server.calls[0].headers.keys()


def test_over_tls_a_slow_answer_is_waited_for(make: Make, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower than the interval at which a call looks at its cancellation: the reads go on where they were."""
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with ProviderServer(certificate=certificate) as secure:
        secure.add_rule(delay=1.3)
        providers, provider = make(base_url=secure.url)
        assert providers.ask(provider, question(), threading.Event()).calls == 1


def test_a_certificate_that_is_not_trusted_gets_no_question(make: Make, certificate: str) -> None:
    with ProviderServer(certificate=certificate) as secure:
        failed = failure(make(base_url=secure.url, max_tries=1), question())
        assert (failed.code, failed.calls, secure.calls) == ("connect_failed", 0, [])
