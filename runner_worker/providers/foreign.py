"""Checks and cleans what the adapters of other distributions return, so that it can be stored."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner_core.provider_kinds import Kind
from runner_core.upstreams import Provider
from runner_worker.providers.ask import Adapter, Answer, Ask
from runner_worker.providers.failures import Filtered, TryFailed
from runner_worker.providers.outcomes import PAID
from runner_worker.providers.text import clean, token_counts, who_served

if TYPE_CHECKING:
    from runner_core.regions import Catalogue

FILTERS = (None, "input", "output")
STAGES = ("waiting", "connect", "request", "response", "answer")
LONGEST_REST = 1e15  # seconds
LONGEST_NAME = 64


class Foreign:
    """The adapter of another distribution."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters as sent. Raises TypeError, ValueError if they are no JSON object."""
        sent = self._adapter.sent(ask)
        kept: dict[str, Any] = _cleaned(json.loads(json.dumps(dict(sent), allow_nan=False)))
        return kept

    async def send(self, ask: Ask) -> Answer:
        """Return the answer with cleaned texts, by the deadline. Raises TryFailed, Filtered, and anything else for an
        adapter's mistake."""
        try:
            async with asyncio.timeout_at(ask.deadline):
                answer = await self._adapter.send(ask)
        except TimeoutError:
            if time.monotonic() < ask.deadline:
                raise  # the adapter's own
            raise TryFailed("timeout", stage="response") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            raise RuntimeError("the adapter was cancelled by its own code, not by the worker") from None
        except SystemExit as wanted:  # it would end the worker
            raise RuntimeError(f"the adapter called sys.exit({wanted.code!r})") from None
        except TryFailed as failed:
            raise _checked(failed) from None
        except Filtered as blocked:
            raise Filtered(clean(str(blocked.words))[0], who_served(**blocked.served)) from None
        if not isinstance(answer, Answer):
            raise TypeError(f"send returned a {type(answer).__name__} and no Answer")
        if answer.filter not in FILTERS:
            raise ValueError("an answer's filter is input, output or None")
        text, replaced = clean(answer.text)
        partial = clean(answer.partial)[0]
        if answer.filter:  # what a filter blocks has no text, only a part that arrived
            text, partial = "", partial or text
        if not text.strip() and not answer.filter:
            raise TryFailed("empty_response", usage=token_counts(answer.usage), served=who_served(**answer.served))
        reason = answer.finish_reason
        return replace(
            answer,
            text=text,
            filter_words=clean(answer.filter_words)[0],
            partial=partial,
            thoughts=clean(answer.thoughts)[0],
            other_parts=tuple(clean(str(part))[0][:LONGEST_NAME] for part in answer.other_parts),
            served=who_served(**answer.served),
            finish_reason=None if reason is None else clean(str(reason))[0][:LONGEST_NAME],
            usage=token_counts(answer.usage),
            sanitised=answer.sanitised or replaced,
        )


def _checked(failed: TryFailed) -> TryFailed:
    """Return the same failure with attributes of the right types."""
    status, rest = failed.http_status, failed.retry_after
    return TryFailed(
        failed.code,
        stage=failed.stage if failed.stage in STAGES else None,
        words=str(failed.words),
        note=str(failed.note),
        http_status=status if type(status) is int else None,
        retry_after=float(rest) if isinstance(rest, int | float) and 0 <= rest < LONGEST_REST else None,
        paid=failed.paid if failed.paid in PAID else None,
        usage=token_counts(dict(failed.usage)),
        served=who_served(**failed.served),
        partial=str(failed.partial),
    )


def _cleaned(value: Any) -> Any:
    """Return a JSON value whose texts PostgreSQL can store."""
    if isinstance(value, str):
        return clean(value)[0]
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    if isinstance(value, dict):
        return {clean(name)[0]: _cleaned(part) for name, part in value.items()}
    return value


def foreign_adapter(kind: Kind, provider: Provider, http: Any, catalogue: "Catalogue") -> Adapter:
    """Make the adapter of another distribution. Raises ValueError with one sentence per mistake."""
    try:
        return Foreign(kind.factory(provider, http, catalogue))
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - another distribution's code
        raise ValueError(
            f"the kind {kind.name} of {kind.distribution} can't be made: {type(error).__name__}: {error}"
        ) from None
