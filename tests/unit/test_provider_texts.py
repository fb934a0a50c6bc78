"""The texts and numbers of providers, which may be anything."""

from typing import Any

import pytest

from runner_worker.providers.text import who_served


@pytest.mark.parametrize(
    ("served", "kept"),
    [
        ({"model": "m" * 300}, {"model": "m" * 255}),
        ({"model": "a\x00b\ud800"}, {"model": "a\ufffdb\ufffd"}),
        ({"model": "", "secret": "x", "geography": 7, "upstream": "Azure"}, {"upstream": "Azure"}),
    ],
)
def test_only_known_texts_of_bounded_length_are_kept(served: dict[str, Any], kept: dict[str, str]) -> None:
    assert who_served(**served) == kept
