"""Writes docs/faults.md. Every number comes from ledgers."""

import re
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bench.chaos import afterwards
from bench.chaos.ledger import Ledger
from bench.chaos.modes import DEFAULT, FAILOVER, FAST

SECTIONS = (
    ("Many faults, with short leases", FAST),
    ("Recovery, with the default lease", DEFAULT),
    ("Failover", FAILOVER),
)
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
FIRST = ("first 202 p50 (s)", "first 202 p95 (s)")


def text(sums: Mapping[str, Ledger], old: str) -> str:
    """Return the page from the ledger of each mode. A section without a ledger is copied from the `old` page."""
    sections = [section(title, sums.get(mode.name), old) for title, mode in SECTIONS]
    usual, short = (
        f"{min(mode.answer_seconds.values()):g} to {max(mode.answer_seconds.values()):g} s" for mode in (DEFAULT, FAST)
    )
    return PAGE.format(sections="\n".join(found for found in sections if found), usual=usual, short=short)


def section(title: str, ledger: Ledger | None, old: str) -> str:
    """Return one section: what was run, the totals and the table."""
    if ledger is None:
        kept = re.search(rf"^## {re.escape(title)}\n.*?(?=^## )", old, re.DOTALL | re.MULTILINE)
        return kept[0].rstrip() + "\n" if kept else ""
    seconds = sum(end - begin for begin, end in ledger.spans)
    wall = max(end for _, end in ledger.spans) - min(begin for begin, _ in ledger.spans)
    return SECTION.format(
        title=title,
        date=_time(max(end for _, end in ledger.spans)),
        commit=ledger.commit,
        machine=ledger.machine,
        faults=ledger.faults,
        parts=_several(len(ledger.seeds), "part"),
        seeds=", ".join(map(str, sorted(ledger.seeds))),
        stacks=_several(side_by_side(ledger.spans), "stack"),
        minutes=f"{wall / 60:.0f}",
        stack_minutes=f"{seconds / 60:.0f}",
        longest=f"{max(end - begin for begin, end in ledger.spans) / 60:.0f}",
        lease=f"{ledger.lease_seconds:g}",
        breaker=f"{ledger.breaker_seconds:g}",
        settings=", ".join(f"{name}={value}" for name, value in ledger.settings.items()) or "the product's defaults",
        rate=f"{ledger.jobs_per_second:g}",
        processes=", ".join(f"{kind} {count}" for kind, count in ledger.processes.items()),
        verdict=_verdict(ledger),
        accepted=ledger.accepted,
        terminal=ledger.terminal,
        statuses=", ".join(f"{status} {n}" for status, n in sorted(ledger.statuses.items())),
        regions=ledger.region_runs,
        answers=ledger.answers,
        calls=ledger.calls,
        repeated=ledger.repeated,
        vain=ledger.vain_calls,
        verified="exit 0" if ledger.verified else "FAILED",
        failures=", ".join(f"{code} {n}" for code, n in sorted(ledger.failures.items())) or "none",
        tries=ledger.tries,
        received=ledger.received,
        struck=ledger.struck,
        table=table(ledger),
        points="".join(f"{line}\n" for line in ("", *lines)) if (lines := points(ledger)) else "",
    )


def table(ledger: Ledger) -> str:
    """Return a Markdown table: one row a fault, and their sum."""
    asked = any(row.first_accepted for row in ledger.rows)
    header = (*HEADER, *FIRST) if asked else HEADER
    lines = [" | ".join(header), " | ".join(["---", *["---:"] * (len(header) - 1)])]
    for row in ledger.rows:
        cells = [row.told, row.runs, row.lost, row.duplicated, row.repeated, row.fenced, *percentiles(row.recovery)]
        lines.append(" | ".join(map(str, [*cells, *percentiles(row.first_accepted)] if asked else cells)))
    total = [ledger.faults, len(ledger.lost), len(ledger.duplicated), ledger.repeated, ledger.fenced, "", ""]
    total += ["", ""] if asked else []
    lines.append(" | ".join(map(str, ["**all faults**", *total])))
    return "\n".join(f"| {line} |" for line in lines)


def points(ledger: Ledger) -> list[str]:
    """Return one line for each measured recovery of a queue, and one for the killed workers."""
    lines = [
        f"- {drill.told}, with {drill.queued} regions queued: noticed after {drill.noticed:.1f} s, the last one staged "
        f"again after {drill.staged:.1f} s."
        for drill in ledger.drills
    ]
    if ledger.reclaimed:
        lines.append(
            f"- worker: SIGKILL: each of the {len(ledger.reclaimed)} regions that it held was claimed again after "
            f"{min(ledger.reclaimed):.1f} to {max(ledger.reclaimed):.1f} s."
        )
    if any(row.first_accepted for row in ledger.rows):
        late = sum(row.read_only for row in ledger.rows)
        lines.append(
            f"- Lines in the processes' logs about a read-only server, later than {afterwards.LATE_SECONDS:g} s after "
            f"the fault (from its end, where the row says so): {late}."
        )
    return lines


def percentiles(found: Sequence[float | None]) -> tuple[str, str]:
    """Return the median and the 95th percentile of seconds; None counts as endless."""
    times = sorted(float("inf") if seconds is None else seconds for seconds in found)
    if not times:
        return "-", "-"
    return f"{statistics.median(times):.1f}", f"{times[min(len(times) - 1, round(0.95 * len(times)))]:.1f}"


def side_by_side(spans: Sequence[tuple[float, float]]) -> int:
    """Return the most parts that ran at the same time."""
    return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)


def _verdict(ledger: Ledger) -> str:
    if not ledger.clean:
        words = "; ".join((*ledger.lost, *ledger.duplicated, *ledger.wrong)) or "`beacon verify` says why"
        return f"**NOT CLEAN** ({words})"
    return f"clean, and **proves nothing** ({'; '.join(ledger.short)})" if ledger.short else "**clean**"


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M UTC")


SECTION = """\
## {title}

{faults} faults in {parts} (seeds {seeds}) of {longest} minutes at most, on {stacks} side by side: {stack_minutes} stack
minutes within {minutes} minutes, until {date}, of commit {commit}. **Lease {lease} s, breaker {breaker} s.**

{machine}

Settings: {settings}.

A stack takes {rate} jobs/s. Its processes: the API with two workers, {processes}; each has its own database role.

The result is {verdict}: {accepted} jobs accepted (the clients' lists of 202s), {terminal} ended ({statuses}),
{regions} region runs, {answers} answers stored. The providers' own logs have {calls} calls that they answered well: one
for each answer, {repeated} repeated ones, and {vain} for questions that failed in the end. `beacon verify`: {verified}.
Questions that failed, by code: {failures}.

Every request has a row in the table `tries`, written before it was sent: {tries} rows, and {received} requests in the
providers' own logs. Faults kept the others from arriving, in {struck} questions; the run names each of them and fails
when a request has no row, or when no fault explains a row without a request.

{table}
{points}"""

PAGE = """\
# Faults

What faults did to running stacks, counted from outside. `python -m bench.chaos` causes them and writes a ledger for
each part, `python -m bench.chaos.merge` adds the ledgers up ([faults.json](faults.json)) and writes this page. No cell
is written by hand.

{sections}
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
  providers' own time ({usual} an answer with the default lease, {short} with short ones): the row "nothing
  happens" shows what the same measurement gives without a fault. A fault in which provider calls fail in a row opens
  that model's breaker, whose time is then the recovery: the model is left alone on purpose. Several stacks share the
  machine where leases are short: the times of recovery that an operator may expect are those of the default lease.
- A message that Redis handed out on a connection that broke at that moment is in nobody's hands. The worker says so as
  soon as it is connected again; where it died instead, the sweeper finds such a region within three leases.
- **Failover**: each row ran on a stack of its own, so its counts are its own. A killed primary's standby is promoted
  after three seconds, and the Sentinels wait for three. Jobs that an asynchronous standby did not have are counted in
  the row and not in the sum: nothing is promised for them ([high-availability.md](high-availability.md)). The first 202
  is for a job that was sent after the fault, or after its end where the row says so; the client sends three a second.
- A repeated call or a fenced write is counted for the fault that was caused last before it.

An accepted job whose provider stayed away for all tries ends as `failed` or `partial`: that is a result, not a loss.
Every part must cause each fault at least three times, a round of failovers each once, and each kill must meet work that
is under way.
"""
