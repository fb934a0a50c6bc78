"""Collects what is kept of a call beside its text: who answered, the parameters as sent, times, payment."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from runner_core.queries import Row
from runner_worker.providers import CallFailed, Reply


class Provenance(NamedTuple):
    """The provenance of one call. A null member is unknown: an earlier release stored the call, or no try succeeded."""

    served: Mapping[str, str] | None = None
    sent: Mapping[str, Any] | None = None
    waited_ms: int | None = None
    answered_ms: int | None = None
    paid: str | None = None

    @classmethod
    def of(cls, reply: Reply, place_ms: int = 0) -> "Provenance":
        """Return the provenance of a usable answer. `place_ms`: how long its call waited before it came to the
        provider's gate."""
        waited_ms = place_ms + reply.waited_ms
        return cls(dict(reply.answer.served), dict(reply.sent), waited_ms, reply.answered_ms, reply.paid)

    @classmethod
    def of_failure(cls, failure: CallFailed) -> "Provenance":
        """Return the provenance of a call whose last try failed. Its error object may say who answered."""
        served = dict(failure.error.get("served") or {})
        if request_id := failure.error.get("request_id"):
            served["request_id"] = request_id
        return cls(served or None, dict(failure.sent) or None, paid=failure.paid)

    @classmethod
    def of_row(cls, row: Row) -> "Provenance":
        """Return the provenance that an earlier attempt stored."""
        return cls(row["served"], row["sent"], answered_ms=row["answered_ms"])


UNKNOWN = Provenance()


def output_of(reply: Reply) -> dict[str, Any]:
    """Return the stored output of a usable answer. The members after `served` are present only where there is any."""
    answer = reply.answer
    output: dict[str, Any] = {
        "response": answer.text,
        "refused": reply.refused,
        "refusal_source": reply.refusal_source,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage,
        "simulated": answer.simulated,
    }
    if answer.sanitised:
        output["sanitised"] = True
    output["served"] = dict(answer.served)
    rest = {
        "filter": answer.filter,
        "filter_words": answer.filter_words,
        "partial": answer.partial,
        "thoughts": answer.thoughts,
        "other_parts": list(answer.other_parts),
        "token_limit": answer.finish_reason == "length" and bool(answer.text),
    }
    return output | {name: value for name, value in rest.items() if value}
