"""The lists by which a provider's filter is known."""

from runner_core.refusals import FILTERS


def test_the_lists_have_a_version_and_are_in_lower_case() -> None:
    assert FILTERS.version >= 1
    for texts in (FILTERS.codes, FILTERS.sayings, FILTERS.reasons):
        assert texts
        assert all(text == text.lower() for text in texts)


def test_the_reasons_are_those_that_providers_give() -> None:
    assert FILTERS.reasons >= {"content_filter", "refusal", "safety", "prohibited_content", "blocklist", "recitation"}
    assert FILTERS.codes >= {"content_filter", "data_inspection_failed", "responsibleaipolicyviolation"}
    assert not FILTERS.reasons & {"stop", "length", "tool_calls", "error", "end_turn", "max_tokens"}
