"""Group a job's failed calls by what went wrong, and say what to do about each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runner_api.views import Row
from runner_api.views.words import counted
from runner_core.error_messages import plain
from runner_core.statuses import in_order

MOST_MESSAGES = 3  # of one code that are told one by one

# What to do about a code. `{key}` is the variable with the key of the providers, `{who}` the providers themselves.
_BUSY = (
    "Lower max_concurrency of {who} in the regions file, or ask for a higher limit. Before its next try a call waits "
    "as long as Retry-After says; retry what is left when the limit is free again."
)
_AWAY = "{who} failed by itself: retry when it is well again. `beacon doctor --probe` asks it once."
_REACH = "Check base_url of {who}, the proxy and the network of the worker: `beacon doctor --probe` tries the way."
_SLOW = (
    "Give each call more time with constraints.provider_timeout, ask for shorter answers with max_tokens, or lower "
    "max_concurrency of {who}."
)
REMEDIES = {
    "http_400": "Read the message: the request has something that {who} does not take.",
    "http_401": "Set {key} in the worker's environment to a valid key of {who}, and start the worker again.",
    "http_403": "The key in {key} may not use this model: let {who} allow it, or name another model.",
    "http_404": "Check base_url of {who}, and the model's name in `models` of the regions file.",
    "http_408": _SLOW,
    "http_413": "Shorten the question: it is too long for {who}.",
    "http_429": _BUSY,
    "http_529": _BUSY,
    "quota_exhausted": "Raise the quota of the account at {who}, or wait until it is renewed.",
    "http_503": "{who} has no room: retry later, or lower its max_concurrency. A call waits as Retry-After says.",
    "connect_timeout": _REACH,
    "connect_failed": _REACH,
    "not_http": _REACH,
    "read_timeout": _SLOW,
    "write_timeout": _SLOW,
    "http_504": _SLOW,
    "timeout": "Give the region more time with constraints.timeout, or ask less in one job.",
    "provider_unavailable": "{who} had failed too often and was not asked: see Providers on the Operations page.",
    "token_limit": "Raise max_tokens, or lower reasoning_effort.",
    "no_provider": "Name a provider for the model in this region in the regions file.",
    "queue_timeout": "Start a worker of the region: python -m runner_worker --region REGION",
    "worker_crashed": "Read the worker's log: its process ended in each attempt.",
    "undeliverable": "Run `beacon doctor`: it asks Redis.",
    "adapter_failed": "Read the worker's log: it has the traceback.",
}


@dataclass
class Failure:
    """The calls that failed with one code and one message. `units` are their (region, model), each once."""

    code: str
    message: str
    calls: int = 0
    units: dict[tuple[str, str], None] = field(default_factory=dict)
    providers: dict[str, None] = field(default_factory=dict)
    remedy: str = ""
    messages: int = 1

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(model for _, model in self.units))

    @property
    def regions(self) -> list[str]:
        return in_order({region for region, _ in self.units})

    @property
    def places(self) -> str:
        """The number of calls with the models and regions in which they failed."""
        return f"{counted(self.calls, 'call')} of {', '.join(self.models)} in {', '.join(self.regions)}"


def failures(rows: Iterable[Row], key_of: Callable[[str], str] = lambda _: "") -> list[Failure]:
    """Return a group for each code and message, the largest first. `key_of`: the variable of a provider's key."""
    found: dict[tuple[str, str], Failure] = {}
    for row in rows:
        if row["status"] == "failed":
            detail = row["error_detail"] or {}
            provider = detail.get("provider") or row.get("provider_id") or ""
            code, message = str(detail.get("code") or "failed"), plain(str(detail.get("message") or ""), provider)
            _add(found.setdefault((code, message), Failure(code, message)), row, provider)
    groups = _few(list(found.values()))
    for group in groups:
        group.remedy = remedy(group.code, list(group.providers), key_of)
    return sorted(groups, key=lambda group: -group.calls)


def remedy(code: str, providers: Sequence[str], key_of: Callable[[str], str]) -> str:
    """Return what to do about a code, empty where only the message can tell."""
    known = REMEDIES.get(code) or (_AWAY if code.startswith("http_5") else "")
    keys = dict.fromkeys(key for provider in providers if (key := key_of(provider)))
    who = ", ".join(providers) or "the provider"
    return known.format(key=", ".join(keys) or "the variable that api_key_env names", who=who)


def units_of(rows: Iterable[Row], code: str, among: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the units, of those that can be retried, in which a call failed with this code."""
    can = set(among)
    return sorted({unit for row in rows if _code(row) == code and (unit := (row["region"], row["model_id"])) in can})


def _code(row: Row) -> str:
    detail: Mapping[str, str] = row["error_detail"] or {}
    return (detail.get("code") or "failed") if row["status"] == "failed" else ""


def _add(group: Failure, row: Row, provider: str) -> None:
    group.calls += 1
    group.units[(row["region"], row["model_id"])] = None
    if provider:
        group.providers[provider] = None


def _few(groups: Sequence[Failure]) -> list[Failure]:
    """Return the groups, with those of one code put together where it has many messages: ids in them differ."""
    by_code: dict[str, list[Failure]] = {}
    for group in groups:
        by_code.setdefault(group.code, []).append(group)
    kept = []
    for same in by_code.values():
        if len(same) <= MOST_MESSAGES:
            kept += same
            continue
        first = max(same, key=lambda group: group.calls)
        for other in same:
            if other is not first:
                first.calls += other.calls
                first.units |= other.units
                first.providers |= other.providers
        first.messages = len(same)
        kept.append(first)
    return kept
