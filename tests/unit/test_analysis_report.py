"""What is told of the analyst's measurements: each job's cost, and ratios of interleaved rounds."""

from typing import Any

from bench.analysis_report import beside_ratio, largest_cost, lines


def posted(p50: float, **more: float) -> dict[str, float]:
    return {"p50_ms": p50, "p99_ms": 3 * p50, "per_second": 1000 / p50, **more}


RESULTS: dict[str, Any] = {
    "cost": [
        {"shape": "a small job", "calls": 12, "cpu_seconds": 0.0499, "mb": 80.2},
        {"shape": "a large job", "calls": 2000, "cpu_seconds": 4.251, "mb": 210.0},
    ],
    "post": [
        {"alone": posted(10.0), "again": posted(11.0), "busy": posted(12.0, analyst=0.2)},
        {"alone": posted(10.0), "again": posted(9.0), "busy": posted(10.0, analyst=0.4)},
        {"alone": posted(20.0), "again": posted(10.0), "busy": posted(11.0, analyst=0.3)},
    ],
}


def test_each_job_and_each_ratio_is_told() -> None:
    text = "\n".join(lines(RESULTS))
    assert "| a small job | 12 | 0.05 | 80 |" in text
    assert "| a large job | 2,000 | 4.25 | 210 |" in text
    assert "| p50 ms | 10.0 | 1.00x (0.45 to 1.10) | 1.10x (0.50 to 1.20) |" in text
    assert "it got 0.30 of a core" in text
    assert "3 interleaved rounds" in text


def test_the_short_numbers_are_those_of_the_table() -> None:
    assert largest_cost(RESULTS) == 4.251
    assert (beside_ratio(RESULTS).median, beside_ratio(RESULTS).most) == (1.1, 1.2)
