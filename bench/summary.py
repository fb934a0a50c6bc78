"""Computes the numbers of the last line of a run, and has the limit of each."""

from typing import Any

from bench.analysis_report import beside_ratio, largest_cost
from bench.measure import Spread, percentile, ratios
from bench.suite import Results, cost, spread
from bench.system import OURS

BARS = {
    "full_vs_best_peer": ">= 3",
    "full_vs_simpleworker": ">= 12",
    "full_vs_worker": ">= 50",
    "cpu_ms_per_full": "<= 0.8",
    "mb_per_call_50": "<= 1",
    "mb_per_call_400": "<= 0.2",
    "drain_vs_enqueue_many": ">= 2",
    "start_p50_ms": "<= the NOTIFY-only queue's",
    "start_p99_ms": "<= 15",
    "post_vs_noop": ">= 0.35",
    "million_vs_empty": "<= 1.3",
    "analyst_cpu_s_2000_calls": "<= 30",
    "post_beside_analyst": "<= 1.2",
}


def summary(results: Results, last: Results) -> dict[str, Any]:
    """Return the fields of the last line. Numbers that `results` lacks are from `last`, the last full run."""
    return {
        name: (round(value, 3) if isinstance(value, float) else value) for name, value in numbers(results, last).items()
    }


def numbers(results: Results, last: Results) -> dict[str, Any]:
    full, ours = results["full"], rates(results, OURS.name)
    peers = {n: runs for n, runs in full.items() if n not in (OURS.name, "limit") and not n.endswith(", bare")}
    best = max(peers, key=lambda name: spread(peers[name], "per_second").median)
    memory, latency, drain = results["memory"], results["latency"]["ours"], results["drain"]
    old = numbers(last, {}) if last else {}
    analysis = results.get("analysis")
    complete = results["growth"]["finished"] >= 1_000_000
    return {
        "full_vs_best_peer": ratios(ours, rates(results, best)).median,
        "best_peer": best,
        "full_vs_simpleworker": ratios(ours, rates(results, "RQ SimpleWorker")).median,
        "full_vs_worker": ratios(ours, rates(results, "RQ Worker")).median
        if "RQ Worker" in full
        else old.get("full_vs_worker"),
        "cpu_ms_per_full": spread(full[OURS.name], "worker_ms").median,
        "mb_per_call_50": per_call(memory["50"][OURS.name]),
        "mb_per_call_400": per_call(memory["400"][OURS.name]),
        "drain_vs_enqueue_many": ratios(drain["ours"], drain["enqueue_many"]).median,
        "start_p50_ms": start(latency, 0.5).median,
        "start_p99_ms": start(latency, 0.99).median,
        "post_vs_noop": post_ratio(results["http"]["gunicorn"]).median,
        "million_vs_empty": growth_ratio(results).median if complete else old.get("million_vs_empty"),
        "analyst_cpu_s_2000_calls": largest_cost(analysis) if analysis else old.get("analyst_cpu_s_2000_calls"),
        "post_beside_analyst": beside_ratio(analysis).median if analysis else old.get("post_beside_analyst"),
    }


def growth_ratio(results: Results) -> Spread:
    return ratios(cost(results["growth"]["full tables"]), cost(results["growth"]["empty tables"]))


def post_ratio(rounds: list[Results]) -> Spread:
    return ratios([r["post"]["per_second"] for r in rounds], [r["noop"]["per_second"] for r in rounds])


def start(rounds: list[list[float]], share: float) -> Spread:
    return Spread.of(percentile(found, share) for found in rounds)


def rates(results: Results, name: str) -> list[float]:
    return [run["per_second"] for run in results["full"][name]]


def per_call(weight: dict[str, float]) -> float:
    return weight["mb"] / weight["calls"]
