"""Formats the engine's measurements: lines for the terminal, and the table of docs/benchmarks.md."""

import random
from dataclasses import dataclass
from statistics import median
from typing import Any

RESAMPLES = 2000


@dataclass(frozen=True)
class Result:
    """One round of one side. `worker_ms`: CPU per execution. `mb`: PSS of the processes with `in_flight` calls."""

    per_second: float
    worker_ms: float
    mb: float
    in_flight: float

    @property
    def mb_per_call(self) -> float:
        return self.mb / self.in_flight if self.in_flight else 0.0


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Return the median of the rounds' ratios, and its 90 % interval by resampling."""
    chance = random.Random(1)
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return median(ratios), medians[RESAMPLES // 20], medians[-RESAMPLES // 20]


def text(name: str, found: dict[str, list[Result]]) -> str:
    """Return the text of one row: medians of each side, and the ratios of the last side to the first."""
    lines = [f"{name} ({len(next(iter(found.values())))} rounds)"]
    for side, results in found.items():
        rate, ms = median(r.per_second for r in results), median(r.worker_ms for r in results)
        memory = f", {median(r.mb_per_call for r in results):.3f} MB a call" if results[0].in_flight else ""
        lines.append(f"  {side:7} {rate:8.0f}/s  {ms:6.2f} ms of worker CPU{memory}")
    if len(found) == 2:
        before, after = found.values()
        for what, numbers in (("rate", "per_second"), ("CPU", "worker_ms")):
            pairs = zip(after, before, strict=True)
            middle, low, high = interval([getattr(a, numbers) / getattr(b, numbers) for a, b in pairs])
            lines.append(f"  {what:7} {middle:.2f} of before (90 %: {low:.2f} to {high:.2f})")
    return "\n".join(lines)


def cells(found: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """Return one line of the page's table for each row of the benchmark: medians over its rounds."""
    lines = []
    for name, rounds in found.items():
        results = [Result(**one) for one in rounds]
        weighed = results[0].in_flight > 0
        lines.append(
            [
                name,
                f"{median(one.per_second for one in results):,.0f}",
                f"{median(one.worker_ms for one in results):.2f}",
                f"{median(one.in_flight for one in results):,.0f}" if weighed else "",
                f"{median(one.mb_per_call for one in results):.3f}" if weighed else "",
            ]
        )
    return lines
