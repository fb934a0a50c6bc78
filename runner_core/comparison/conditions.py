"""How each model was asked in each region: the `conditions` of an export."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner_core.parameters import seed_of
from runner_core.signing import canonical

Row = Mapping[str, Any]
NOT_PARAMETERS = ("model", "seed")  # members of a call's `sent` that conditions tell by other names, or not at all


def conditions(rows: Sequence[Row], units: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the conditions of each planned (region, model), sorted.

    `rows` are the job's planned calls; `units` its executions, each with region, model_id and `parameters`, null for an
    execution that asked nothing.
    """
    kept = {(unit["region"], unit["model_id"]): unit["parameters"] for unit in units}
    calls: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        calls.setdefault((row["region"], row["model_id"]), []).append(row)
    return [_of_unit(region, model, calls[region, model], kept.get((region, model))) for region, model in sorted(calls)]


def _of_unit(region: str, model_id: str, calls: Sequence[Row], asked: Mapping[str, Any] | None) -> dict[str, Any]:
    told = asked or {}
    sent = [call["sent"] for call in calls if call["sent"] is not None]
    return {
        "region": region,
        "model_id": model_id,
        "system_prompt": told.get("system_prompt"),
        "upstream": told.get("upstream_model"),
        "parameters": _parameters(sent, told),
        "seeds": _seeds(calls),
        "served_models": sorted({name for call in calls if (name := (call["served"] or {}).get("model"))}),
        "simulated": any((call["output"] or {}).get("simulated") for call in calls),
    }


def _parameters(sent: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as sent. Where calls differ in one, its value is the sorted list of the different values.

    For calls of releases before `sent` was kept: what the execution tells.
    """
    if not sent:
        return {name: told[name] for name in ("max_tokens", "temperature") if told.get(name) is not None}
    names = sorted({name for one in sent for name in one if name not in NOT_PARAMETERS})
    return {name: _value([one.get(name) for one in sent]) for name in names}


def _value(values: Sequence[Any]) -> Any:
    different = {canonical({"value": value}): value for value in values}
    return values[0] if len(different) == 1 else [different[key] for key in sorted(different)]


def _seeds(calls: Sequence[Row]) -> str:
    """Return `own` if each call was sent the seed that only this call has, `shared` if a call was sent another seed,
    `provider` if no seed was sent, `none` if nothing is known to have been sent.

    Releases before `sent` was kept gave all calls of a run the same seed.
    """
    if any(call["sent"] is None and call["output"] and not call["output"].get("simulated") for call in calls):
        return "shared"
    sent = [(call, call["sent"].get("seed")) for call in calls if call["sent"] is not None]
    seeds = [(call, seed) for call, seed in sent if seed is not None]
    if not seeds:
        return "provider" if sent else "none"
    return "own" if all(seed == _own(call) for call, seed in seeds) else "shared"


def _own(call: Row) -> int:
    return seed_of(call["job_id"], call["region"], call["model_id"], call["question_id"], call["run_no"])
