"""An answer that refuses, by the provider's word or by its own words."""

import pytest

from tests.asking import KINDS, Make, question
from tests.provider_server import ProviderServer


def test_a_refusal_by_the_provider(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="refusal")
    providers, provider = make()
    reply = providers.ask(provider, question())
    assert (reply.refused, reply.refusal_source, reply.answer.text) == (True, "provider", "I can't help with that.")


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_by_its_words(server: ProviderServer, make: Make, kind: str) -> None:
    server.add_rule(text="Well, as an AI I would rather not.")
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    assert (reply.refused, reply.refusal_source) == (True, "rules")


def test_a_refusal_by_a_pattern_of_the_regions_file(server: ProviderServer, make: Make) -> None:
    server.add_rule(text="As an AI, no.")
    providers, provider = make()
    reply = providers.ask(provider, question())
    assert (reply.refused, reply.refusal_source) == (True, "pattern")


def test_a_quoted_refusal_far_down_is_none(server: ProviderServer, make: Make) -> None:
    server.add_rule(text="A long story. " * 60 + "As an AI, it said.")
    providers, provider = make()
    assert providers.ask(provider, question()).refused is False


@pytest.mark.parametrize(
    "text", ["抱歉，我无法回答这个问题。", "Dazu kann ich leider keine Auskunft geben.", "No puedo hablar de eso."]
)
def test_refusals_in_other_languages(server: ProviderServer, make: Make, text: str) -> None:
    server.add_rule(text=text)
    providers, provider = make()
    assert providers.ask(provider, question()).refusal_source == "rules"


def test_a_quoted_refusal_is_none(server: ProviderServer, make: Make) -> None:
    server.add_rule(text='He said: "I cannot answer that." The government fell two days later.')
    providers, provider = make()
    assert providers.ask(provider, question()).refused is False
