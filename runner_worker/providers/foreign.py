"""Checks and cleans what the adapters of other distributions return, so that it can be stored and shown."""

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner_core.provider_kinds import Kind
from runner_core.strict_json import MAX_INTEGER
from runner_core.upstreams import Provider
from runner_worker.providers.ask import Adapter, Answer, Ask
from runner_worker.providers.failures import Filtered, TryFailed
from runner_worker.providers.hidden import rare, without
from runner_worker.providers.outcomes import PAID
from runner_worker.providers.text import clean, token_counts, who_served

if TYPE_CHECKING:
    from runner_core.regions import Catalogue

FILTERS = (None, "input", "output")
STAGES = ("waiting", "connect", "request", "response", "answer")
LONGEST_REST = 1e15  # seconds
LONGEST_NAME = 64


class Foreign:
    """The adapter of another distribution. `secrets`: of its provider, hidden where the adapter repeats them.

    `simulated`: whether the kind's answers are made up, whatever an answer says.
    """

    def __init__(self, adapter: Adapter, secrets: Collection[str] = (), *, simulated: bool = False) -> None:
        self._adapter = adapter
        self._secrets = secrets
        self._rare_secrets = rare(secrets)
        self._simulated = simulated

    def sent(self, ask: Ask) -> Mapping[str, Any]:
        """Return the parameters as sent. Raises TypeError, ValueError if they are no JSON object that can be signed."""
        sent = self._adapter.sent(ask)
        kept: dict[str, Any] = _cleaned(json.loads(json.dumps(dict(sent), allow_nan=False)))
        return without(kept, self._rare_secrets)  # type: ignore[no-any-return]  # a dict, as before

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
            raise _checked(failed, self._secrets) from None
        except Filtered as blocked:
            words = without(clean(str(blocked.words))[0], self._secrets)
            raise Filtered(words, without(who_served(**blocked.served), self._secrets)) from None
        if not isinstance(answer, Answer):
            raise TypeError(f"send returned a {type(answer).__name__} and no Answer")
        if answer.filter not in FILTERS:
            raise ValueError("an answer's filter is input, output or None")
        text, replaced = clean(answer.text)
        text, partial = self._shown(text), self._shown(answer.partial)
        if answer.filter:  # what a filter blocks has no text, only a part that arrived
            text, partial = "", partial or text
        if not text.strip() and not answer.filter:
            served = without(who_served(**answer.served), self._rare_secrets)
            raise TryFailed("empty_response", usage=token_counts(answer.usage), served=served)
        reason = answer.finish_reason
        return replace(
            answer,
            text=text,
            filter_words=self._shown(answer.filter_words),
            partial=partial,
            thoughts=self._shown(answer.thoughts),
            other_parts=tuple(self._shown(str(part))[:LONGEST_NAME] for part in answer.other_parts),
            served=without(who_served(**answer.served), self._rare_secrets),
            finish_reason=None if reason is None else self._shown(str(reason))[:LONGEST_NAME],
            usage=token_counts(answer.usage),
            simulated=self._simulated or bool(answer.simulated),
            sanitised=answer.sanitised or replaced,
        )

    def _shown(self, text: str) -> str:
        return str(without(clean(text)[0], self._rare_secrets))


def _checked(failed: TryFailed, secrets: Collection[str]) -> TryFailed:
    """Return the same failure with attributes of the right types, without secrets."""
    status, rest = failed.http_status, failed.retry_after
    return TryFailed(
        failed.code,
        stage=failed.stage if failed.stage in STAGES else None,
        words=without(str(failed.words), secrets),
        note=without(str(failed.note), secrets),
        http_status=status if type(status) is int else None,
        retry_after=float(rest) if isinstance(rest, int | float) and 0 <= rest < LONGEST_REST else None,
        paid=failed.paid if failed.paid in PAID else None,
        usage=token_counts(dict(failed.usage)),
        served=without(who_served(**failed.served), secrets),
        partial=without(str(failed.partial), secrets),
    )


def _cleaned(value: Any) -> Any:
    """Return a JSON value whose texts PostgreSQL can store. Raises ValueError for a number that no receipt can sign."""
    if isinstance(value, int | float) and abs(value) > MAX_INTEGER:  # PostgreSQL writes such floats as whole numbers
        raise ValueError(f"a parameter as sent is a number beyond {MAX_INTEGER}")
    if isinstance(value, str):
        return clean(value)[0]
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    if isinstance(value, dict):
        return {clean(name)[0]: _cleaned(part) for name, part in value.items()}
    return value


def foreign_adapter(
    kind: Kind, provider: Provider, http: Any, catalogue: "Catalogue", secrets: Collection[str]
) -> Adapter:
    """Make the adapter of another distribution. Raises ValueError with one sentence per mistake."""
    what = f"the kind {kind.name} of {kind.distribution} can't be made"
    try:
        adapter = kind.factory(provider, http, catalogue)
    except ValueError as wrong:
        told = [mistake for mistake in wrong.args if isinstance(mistake, str)]
        raise ValueError(*without(told or [f"{what}: {type(wrong).__name__}"], secrets)) from None
    except Exception as error:  # noqa: BLE001 - another distribution's code
        raise ValueError(without(f"{what}: {type(error).__name__}: {error}", secrets)) from None
    if missing := [name for name in ("sent", "send") if not callable(getattr(adapter, name, None))]:
        raise ValueError(f"{what}: its adapter has no method {' and no method '.join(missing)}")
    return Foreign(adapter, secrets, simulated=kind.simulated)
