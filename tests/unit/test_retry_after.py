"""How long a provider asks to be left alone, in every shape that is in use."""

from email.utils import formatdate
from typing import Any

import pytest

from runner_worker.providers.retry_after import rest_asked_for

NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
GOOGLE = {
    "error": {"code": 429, "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.5s"}]}
}

SHAPES: dict[str, tuple[dict[str, str], Any, float | None]] = {
    "nothing": ({}, None, None),
    "whole": ({"retry-after": "12"}, None, 12.0),
    "decimal": ({"retry-after": " 2.5 "}, None, 2.5),
    "with a unit": ({"retry-after": "7s"}, None, 7.0),
    "date": ({"retry-after": formatdate(NOW + 90, usegmt=True)}, None, 90.0),
    "date in the past": ({"retry-after": formatdate(NOW - 90, usegmt=True)}, None, 0.0),
    "date without a zone": ({"retry-after": formatdate(NOW + 90).replace("-0000", "").strip()}, None, 90.0),
    "no time": ({"retry-after": "soon"}, None, None),
    "negative": ({"retry-after": "-5"}, None, None),
    "not a number": ({"retry-after": "nan"}, None, None),
    "too many digits": ({"retry-after": "9" * 5000}, None, None),
    "a day and more": ({"retry-after": "100000000000000"}, None, 1e14),
    "milliseconds": ({"retry-after-ms": "1500"}, None, 1.5),
    "milliseconds come first": ({"retry-after-ms": "1500", "retry-after": "2"}, None, 1.5),
    "milliseconds that are none": ({"retry-after-ms": "x", "retry-after": "2"}, None, 2.0),
    "Google's delay": ({}, GOOGLE, 38.5),
    "Google's delay in an array": ({}, [GOOGLE], 38.5),
    "the header comes before Google's": ({"retry-after": "3"}, GOOGLE, 3.0),
    "OpenAI's reset": ({"x-ratelimit-reset-requests": "6m0s"}, None, 360.0),
    "a reset in milliseconds": ({"x-ratelimit-reset-tokens": "250ms"}, None, 0.25),
    "Groq's reset": ({"x-ratelimit-reset-requests": "2m59.56s"}, None, 179.56),
    "the used-up one": (
        {
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-remaining-requests": "12",
            "x-ratelimit-reset-tokens": "9s",
            "x-ratelimit-remaining-tokens": "0",
        },
        None,
        9.0,
    ),
    "the earlier one": ({"x-ratelimit-reset-requests": "20", "x-ratelimit-reset-tokens": "4"}, None, 4.0),
    "OpenRouter's reset": ({"x-ratelimit-reset": str(int(NOW + 30) * 1000), "x-ratelimit-remaining": "0"}, None, 30.0),
    "a reset in Unix seconds": ({"x-ratelimit-reset": str(int(NOW) + 30)}, None, 30.0),
    "Anthropic's reset": ({"anthropic-ratelimit-requests-reset": "2026-11-18T11:07:00Z"}, None, 20.0),
    "a reset that is none": ({"x-ratelimit-reset-tokens": "later"}, None, None),
}


@pytest.mark.parametrize(("headers", "document", "rest"), SHAPES.values(), ids=SHAPES)
def test_each_shape(headers: dict[str, str], document: Any, rest: float | None) -> None:
    found = rest_asked_for(429, headers, document, NOW)
    assert found == (rest if rest is None else pytest.approx(rest, abs=0.01))


def test_a_limits_reset_says_nothing_about_other_errors() -> None:
    assert rest_asked_for(500, {"x-ratelimit-reset-requests": "6m0s"}, None, NOW) is None
    assert rest_asked_for(503, {"retry-after": "6"}, None, NOW) == 6
