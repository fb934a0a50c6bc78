"""Reads what a provider says about an error: its sentence, its codes, and what they mean. Pure functions."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from runner_core.refusals import FILTERS
from runner_worker.providers.failures import Filtered, TryFailed
from runner_worker.providers.retry_after import rest_asked_for
from runner_worker.providers.text import request_id, who_served

# Codes and types of an account whose money or quota is used up, in lower case.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "enforced_spend_limit_reached",
        "exceeded_current_quota_error",
        "insufficient_balance",
        "insufficient_credits",
        "quota_exceeded",
        "billing_error",
    }
)
LONGEST_WORDS = 2000  # characters of a provider's sentence that are looked at
SHOWN_REASONS = 8  # of a filter


def failure_of(status: int, document: Any, headers: Mapping[str, str]) -> TryFailed:
    """Return the failure of an answer whose HTTP status is an error. Raises Filtered if a filter blocked the prompt.

    `document`: the body as JSON, or its text. `headers`: by their names in lower case.
    """
    words, served = words_of(document), _served(document, headers)
    _raise_if_filtered(status, document, words, served)
    if status in (402, 429) and _is_quota(document):
        return TryFailed("quota_exhausted", words=words, http_status=status, served=served)
    rest = rest_asked_for(status, headers, document, time.time())
    return TryFailed.from_status(status, words, rest, served=served)


def failure_within(document: Mapping[str, Any], headers: Mapping[str, str], **details: Any) -> TryFailed:
    """Return the failure that the `error` of an answer with status 200 tells. Raises Filtered as failure_of does.

    A number in the error's code is read as an HTTP status: so OpenRouter tells of an upstream that failed. `details`:
    arguments of TryFailed.
    """
    words = words_of(document)
    served = {**_served(document, headers), **details.pop("served", {})}
    number = _status_in(document)
    _raise_if_filtered(number, document, words, served)
    if number in (402, 429) and _is_quota(document):
        return TryFailed("quota_exhausted", words=words, http_status=number, served=served, **details)
    if number is None:
        return TryFailed("provider_error", words=words, http_status=200, served=served, **details)
    rest = rest_asked_for(number, headers, document, time.time())
    return TryFailed.from_status(number, words, rest, served=served, **details)


def words_of(document: Any) -> str:
    """Return the sentence of an error, empty if there is none.

    It is `error.message`, `error`, `message` or `detail`; an array's first element is read like the whole.
    """
    first = document[0] if isinstance(document, list) and document else document
    if isinstance(first, str):
        return first.strip()[:LONGEST_WORDS]
    if not isinstance(first, dict):
        return ""
    said = (_sentence(first.get(name)) for name in ("error", "message", "detail", "errors"))
    return next(filter(None, said), "")


def _sentence(value: Any, depth: int = 3) -> str:
    if isinstance(value, str):
        return value.strip()[:LONGEST_WORDS]
    if depth and isinstance(value, list):
        return "; ".join(filter(None, (_sentence(part, depth - 1) for part in value[:3])))[:LONGEST_WORDS]
    if depth and isinstance(value, dict):
        found = (_sentence(value.get(name), depth - 1) for name in ("message", "msg", "detail", "error"))
        return next(filter(None, found), "")
    return ""


def _error(document: Any) -> dict[str, Any]:
    """Return the object with the error's code: `error` if it is an object, else the whole."""
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):
        return {}
    error = first.get("error")
    return error if isinstance(error, dict) else first


def _codes(document: Any) -> set[str]:
    error = _error(document)
    inner = error.get("innererror")
    found = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    return {code.lower() for code in found if isinstance(code, str)}


def _status_in(document: Mapping[str, Any]) -> int | None:
    """Return the HTTP status in the error's code: a number, or the digits of one."""
    code = _error(document).get("code")
    if isinstance(code, str) and len(code) == 3 and code.isdecimal():
        code = int(code)
    return code if type(code) is int and 400 <= code <= 599 else None


def _is_quota(document: Any) -> bool:
    """Return whether the account is used up, not only its pace too fast. Google names a daily quota in `violations`."""
    details = _error(document).get("details")
    violations = [
        violation
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict) and isinstance(found := detail.get("violations"), list)
        for violation in found
    ]
    daily = any(isinstance(v, dict) and "PerDay" in str(v.get("quotaId", "")) for v in violations)
    return daily or bool(_codes(document) & QUOTA_CODES)


def _raise_if_filtered(status: int | None, document: Any, words: str, served: Mapping[str, str]) -> None:
    error = _error(document)
    metadata = error.get("metadata")
    reasons = metadata.get("reasons") if isinstance(metadata, dict) else None
    by_reasons = status == 403 and isinstance(reasons, list) and bool(reasons)
    folded = words.casefold()
    by_words = status in (400, 403) and any(saying in folded for saying in FILTERS.sayings)
    by_code = (status is None or 400 <= status < 500) and bool(_codes(document) & FILTERS.codes)
    if by_reasons or by_words or by_code:
        shown = [reason for reason in reasons or () if isinstance(reason, str)] if by_reasons else []
        shown += blocked_categories(error.get("innererror"))
        told = ", ".join(shown[:SHOWN_REASONS])
        raise Filtered(f"{words} ({told})" if told else words, served)


def blocked_categories(holder: Any) -> list[str]:
    """Return the categories that Azure's filter blocked, such as "violence: high"."""
    if not isinstance(holder, dict):
        return []
    results = holder.get("content_filter_result") or holder.get("content_filter_results")
    return list(_blocked(results)) if isinstance(results, dict) else []


def _blocked(results: Mapping[str, Any]) -> Iterator[str]:
    for category, result in results.items():
        if isinstance(result, dict) and result.get("filtered") is True:
            severity = result.get("severity")
            yield f"{category}: {severity}" if isinstance(severity, str) else category


def _served(document: Any, headers: Mapping[str, str]) -> dict[str, str]:
    error = _error(document)
    metadata = error.get("metadata")
    upstream = metadata.get("provider_name") if isinstance(metadata, dict) else None
    return who_served(upstream=upstream, request_id=request_id(headers, document))
