"""What is kept of a try that failed: who failed, what it cost, and the text that arrived."""

import json

import pytest

from tests.asking import KEY, Make, failure, question
from tests.outcome_rows import body, choice
from tests.provider_server import ProviderServer


def test_the_request_id_of_each_failed_try_is_kept(server: ProviderServer, make: Make) -> None:
    for number in (1, 2):
        server.add_rule(fault="status", status=503, times=1, headers={"X-Request-ID": f"req-{number}"})
    providers, provider = make()
    reply = providers.ask(provider, question())
    assert [error["request_id"] for error in reply.errors] == ["req-1", "req-2"]


def test_half_a_text_is_kept_with_its_tokens_and_who_wrote_it(server: ProviderServer, make: Make) -> None:
    rule = choice("The capital of Pe", "error", error={"code": 502, "message": "Upstream idle timeout"})
    rule["text"] = json.dumps(json.loads(rule["text"]) | {"model": "served", "id": "chatcmpl-1"})
    server.add_rule(times=1, **rule)
    providers, provider = make()
    (error,) = providers.ask(provider, question()).errors
    assert error["code"] == "http_502"
    assert error["message"].endswith("Upstream idle timeout")
    assert (error["partial"], error["served"], error["request_id"]) == (
        "The capital of Pe",
        {"model": "served"},
        "chatcmpl-1",
    )
    assert error["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_what_is_kept_of_a_text_has_a_limit(server: ProviderServer, make: Make) -> None:
    server.add_rule(**choice("x" * 20_000, "error"))
    assert len(failure(make(), question()).error["partial"]) == 8000


def test_the_token_limit_is_told_with_its_number(server: ProviderServer, make: Make) -> None:
    server.add_rule(**choice(None, "length", reasoning_content="hmm"))
    error = failure(make(), question()).error
    assert "the token limit (500) was reached before any text (HTTP 200)" in error["message"]
    assert "max_tokens" in error["message"]
    assert error["partial"] == "hmm"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Unsupported value: 'temperature' does not support 0.1", True),
        ("stop_sequences: too many", True),
        ("Max_Tokens is too large", True),
        ("Unknown parameters", True),
        ("System role not supported", True),
        ("No such model", False),
        ("The deployment was stopped", False),
    ],
)
def test_a_400_about_a_parameter_tells_the_settings_that_help(
    server: ProviderServer, make: Make, words: str, told: bool
) -> None:
    server.add_rule(fault="status", status=400, text=words)
    parameters = {"temperature": 0.1, "max_tokens": 500, "stop": ["END"]}
    message = failure(make(), question(parameters=parameters)).error["message"]
    assert message.endswith(words)
    assert all(name in message for name in ("`omit`", "`rename`", "null")) is told


def test_a_filters_words_are_kept_with_the_answer(server: ProviderServer, make: Make) -> None:
    server.add_rule(**body({"error": {"message": "Blocked by the content policy.", "code": "content_filter"}}, 400))
    providers, provider = make()
    answer = providers.ask(provider, question()).answer
    assert (answer.filter, answer.filter_words) == ("input", "Blocked by the content policy.")


def test_the_words_of_a_compressed_error_are_read(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="gzip", status=404, text='{"object": "error", "message": "No such model.", "code": 404}')
    assert failure(make(), question()).error["message"].endswith("No such model.")


def test_the_title_of_a_gateways_page_is_its_sentence(server: ProviderServer, make: Make) -> None:
    page = "<html><head><title>\n502: Bad gateway </title></head><body>x</body></html>"
    server.add_rule(**body(page, 502, Content_Type="text/html"))
    assert failure(make(max_tries=1), question()).error["message"].endswith("HTTP status 502. 502: Bad gateway")


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"fault": "gzip", "status": 200}, "encoded as gzip"),
        (body("data: {}\n\n", Content_Type="text/event-stream; charset=utf-8"), "an event stream"),
        (
            {"fault": "redirect_other", "status": 307, "location": "https://login.example.com/x"},
            "https://login.example.com",
        ),
    ],
    ids=["gzip", "event stream", "redirect"],
)
def test_the_cause_is_named(server: ProviderServer, make: Make, rule: dict[str, object], named: str) -> None:
    server.add_rule(**rule)
    assert named in failure(make(), question()).error["message"]


@pytest.mark.parametrize(
    "prefix",
    ["\ufeff", " \r\n\r\n", ": PROCESSING\n\n: PROCESSING\n\n"],
    ids=["byte order mark", "blank lines", "a router's comments"],
)
def test_what_stands_before_the_json_does_no_harm(server: ProviderServer, make: Make, prefix: str) -> None:
    server.add_rule(**body(prefix + choice("Lima.")["text"]))
    providers, provider = make()
    assert providers.ask(provider, question()).response == "Lima."


def test_a_key_is_hidden_wherever_a_provider_repeats_it(server: ProviderServer, make: Make) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    text = choice("KEEP")["text"].replace("KEEP", f"{KEY} and {escaped}")
    server.add_rule(times=1, **body(text, X_Request_ID=KEY))
    server.add_rule(fault="body", status=400, text=f'{{"error": "bad key {escaped}"}}', headers={"X-Request-ID": KEY})
    providers, provider = make()
    answer = providers.ask(provider, question()).answer
    assert (answer.text, answer.served["request_id"]) == ("[key] and [key]", "[key]")
    error = failure((providers, provider), question()).error
    assert error["message"].endswith("bad key [key]")
    assert error["request_id"] == "[key]"
