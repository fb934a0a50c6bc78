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
    assert (reply.refused, reply.refusal_source) == (True, "pattern")


def test_a_quoted_refusal_far_down_is_none(server: ProviderServer, make: Make) -> None:
    server.add_rule(text="A long story. " * 60 + "As an AI, it said.")
    providers, provider = make()
    assert providers.ask(provider, question()).refused is False
