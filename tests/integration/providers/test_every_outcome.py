"""Each outcome of a request, against a real HTTP server: code, requests, refusal, payment, breaker."""

import pytest

from runner_worker.providers import CallFailed
from runner_worker.providers.outcomes import FAULTS
from tests.asking import Make, failure, question
from tests.outcome_rows import ROWS, Row
from tests.provider_server import ProviderServer

# Codes of calls that reach no server, or that are no answer of one; they are tested elsewhere in this folder.
ELSEWHERE = {
    *("cancelled", "timeout", "provider_unavailable", "connect_failed", "connect_timeout", "write_timeout"),
    "adapter_failed",
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_follows(server: ProviderServer, make: Make, row: Row) -> None:
    server.add_rule(**row.rule)
    providers, provider = make(row.kind, **row.changes, **row.seconds)
    if row.code is None:
        reply = providers.ask(provider, question())
        assert (reply.refusal_source, reply.paid, reply.errors) == (row.source, row.paid, [])
        assert reply.refused is (row.source is not None)
        assert (reply.response == "") is (row.source == "filter")
    else:
        failed = failure((providers, provider), question())
        assert (failed.code, failed.paid) == (row.code, row.paid)
        assert failed.error["message"].startswith(
            f"Provider {provider.id}: {FAULTS[row.code].sentence.partition('{')[0]}"
        )
        assert failed.sent["model"] == "upstream-1"
    assert len(server.wait_for_calls(row.calls)) == row.calls


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_the_breaker_learns(server: ProviderServer, make: Make, row: Row) -> None:
    server.add_rule(**row.rule)
    providers, provider = make(row.kind, max_tries=1, breaker_seconds=600.0, **row.changes, **row.seconds)
    for _ in range(5):
        try:
            providers.ask(provider, question())
        except CallFailed as failed:
            assert failed.code == row.code  # noqa: PT017 - an answer is no mistake here
    assert providers.providers.is_open(provider.id, "m1") is row.opens


def test_every_code_has_its_row() -> None:
    caused = {row.code for row in ROWS.values()} - {None}
    assert caused | ELSEWHERE == set(FAULTS)
