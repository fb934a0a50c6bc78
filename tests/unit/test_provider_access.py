"""The headers that workers and `beacon doctor` send to a provider with each request."""

from dataclasses import replace

from runner_core.origins import Origin
from runner_core.provider_access import Access, constant_headers
from runner_core.provider_kinds import kinds
from runner_core.regions import Provider


def headers(kind: str = "anthropic", key_header: str = "", headers: dict[str, str] | None = None) -> dict[str, str]:
    provider = Provider("p", "US", kind, "https://h.example", "KEY", 1, {}, headers=headers or {})
    access = Access(Origin("https", "h.example", 443), "the-key", {"X-Secret": "s"}, None)
    found = kinds()[kind]
    return constant_headers(provider, replace(found, key_header=key_header or found.key_header), access)


def test_the_key_goes_where_the_kind_wants_it() -> None:
    assert headers() == {"anthropic-version": "2023-06-01", "x-api-key": "the-key", "X-Secret": "s"}
    assert headers("openai") == {"Authorization": "Bearer the-key", "X-Secret": "s"}
    assert headers("openai", "authorization")["authorization"] == "Bearer the-key"


def test_a_header_of_the_regions_file_replaces_the_kinds_in_whatever_case() -> None:
    found = headers(headers={"Anthropic-Version": "2027-01-01"})
    assert {name: value for name, value in found.items() if name.lower() == "anthropic-version"} == {
        "Anthropic-Version": "2027-01-01"
    }
