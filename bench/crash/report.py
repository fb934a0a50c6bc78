"""docs/crash-points.md: one table from the results of a whole run. No cell is written by hand."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.chaos.report import machine
from bench.crash import coverage
from bench.crash.points import Learned, Result
from bench.crash.tally import ENDINGS

BEGIN, END = "<!-- crash points -->", "<!-- /crash points -->"
TITLE = "# Crash points\n\n"


def summary(results: Sequence[Result], seconds: float) -> str:
    """Return one line for the terminal."""
    prompt = sorted(result.seconds for result in results if result.cut.way != "late") or [0.0]
    endings = Counter(result.tally.ending for result in results if result.met)
    return (
        f"{len(results)} points, {sum(bool(r.tally.wrong) for r in results)} broken, "
        f"{sum(not r.met for r in results)} not met, "
        f"{len(kinds(results))} distinct endings; {', '.join(f'{name} {endings[name]}' for name in ENDINGS)}; "
        f"repeated calls {sum(r.tally.repeated for r in results)}; "
        f"median {prompt[len(prompt) // 2]:.2f} s without the late ones, {seconds:.0f} s in all"
    )


def kinds(results: Sequence[Result]) -> set[tuple[str, str, str]]:
    """Return the distinct endings as (verb, way, ending)."""
    return {(result.cut.verb, result.cut.way, result.tally.ending) for result in results if result.met}


def write(
    page: Path,
    learned: Sequence[Learned],
    results: Sequence[Result],
    wrong: Sequence[str],
    *,
    seconds: float,
    commit: str,
    lanes: int,
) -> None:
    """Replace the part of the page between this program's markers; the rest of the page is kept."""
    part = f"{BEGIN}\n\n{_part(learned, results, wrong, seconds, commit, lanes)}\n{END}\n"
    text = page.read_text("utf-8") if page.exists() else TITLE
    before, found, rest = text.partition(BEGIN)
    after = rest.partition(END)[2].lstrip("\n") if found else ""
    page.write_text(before + part + (f"\n{after}" if after else ""), "utf-8")


def _part(
    learned: Sequence[Learned],
    results: Sequence[Result],
    wrong: Sequence[str],
    seconds: float,
    commit: str,
    lanes: int,
) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    reached = {name for found in learned for name in found.reached}
    required = coverage.required({name for found in learned for name in found.seen})
    lines = [
        "## Every message of every verb, cut once in every way",
        "",
        f"Written by `make crash-points` on {now}, after {seconds / 60:.1f} minutes ({lanes} points side by side), of "
        f"commit {commit}. {machine()}.",
        "",
        f"{len(results)} points with {len(kinds(results))} distinct endings (a verb, a way and how it ended); "
        f"{len(wrong)} broken promises.",
        f"{len(required & reached)} of the {len(required)} statements that write, lock or run in a verb's transaction "
        f"are cut, and {len(reached - required)} that only read.",
        "",
        *_table(learned, results),
        "",
        *(f"- {sentence}" for sentence in wrong),
        *([""] if wrong else []),
        *_ways(results),
        "",
        "Statements that write, lock or run in a transaction and that no point cuts:",
        "",
        *(f"- `{name}`: {reason}." for name, reason in coverage.EXCEPTIONS.items()),
        "",
        READING,
    ]
    return "\n".join(lines)


def _table(learned: Sequence[Learned], results: Sequence[Result]) -> list[str]:
    columns = ["verb", "messages", "ways", "points", *ENDINGS, "lost", "doubled", "repeated calls", "uncalled tries"]
    lines = [f"| {' | '.join(columns)} |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for found in learned:
        lines.append(_row(found.verb, [result for result in results if result.cut.verb == found.verb]))
    lines.append(_row("**all**", results))
    return lines


def _row(name: str, results: Sequence[Result]) -> str:
    messages = {(r.cut.verb, r.cut.protocol, r.cut.point) for r in results}
    endings = Counter(r.tally.ending for r in results if r.met)
    cells = [len(messages), len({r.cut.way for r in results}), len(results), *(endings[ending] for ending in ENDINGS)]
    cells += [sum(getattr(r.tally, field) for r in results) for field in ("lost", "doubled", "repeated", "uncalled")]
    return f"| {name} | {' | '.join(map(str, cells))} |"


def _ways(results: Sequence[Result]) -> list[str]:
    lines = ["| way | points | " + " | ".join(ENDINGS) + " | repeated calls | median s |"]
    lines.append("| --- |" + " ---: |" * (len(ENDINGS) + 3))
    for way in dict.fromkeys(sorted(r.cut.way for r in results)):
        those = [r for r in results if r.cut.way == way]
        endings = Counter(r.tally.ending for r in those if r.met)
        times = sorted(r.seconds for r in those)
        cells = [len(those), *(endings[ending] for ending in ENDINGS), sum(r.tally.repeated for r in those)]
        lines.append(f"| {way} | {' | '.join(map(str, cells))} | {times[len(times) // 2]:.2f} |")
    return lines


READING = """\
A point is a verb, the n-th message of one label that it sends (to PostgreSQL, to Redis or to a provider, on a cold or a
warm connection) and a way. *before*: the connection ends before the server has the message. *middle*: the server has
half of it. *answer lost*: the server has it and has acted, and its answer never arrives. *late*: the message arrives,
and all that follows it, answers too, comes after the client's time limit. *killed*: as *answer lost*, and the process
that has sent it is ended by SIGKILL. Leases and limits are short, and the process that is cut has one connection:
`bench/crash/environment.py` has the settings. Of Redis' commands, which an idle worker repeats, the first of each is
cut; of a migration's grants the first.

Nobody helps afterwards: the process itself, other publishers and workers, the sweeper and the client that repeats its
request bring the work to its end. Then the invariants of `sql/verify` are asked, each request's repeat is compared with
its answer, each planned unit needs one result, the provider's own log is compared with the rows of tries, and nobody
may hold a lease, a transaction or, once its process has ended, a connection.

- **unnoticed**: nobody had to do anything again. **in place**: the process that was cut did it again. **taken over**:
  it was killed, and another one did it. **by the client**: the request was repeated. **swept**: the sweeper sent a
  region again. **fenced**: somebody came back after the lease was lost, and was refused.
- **lost**: accepted jobs' units without a result, and answers of a provider to questions that have none. **doubled**:
  units with two results.
- **repeated calls**: calls that the provider answered, beyond one for each question: the answer was cut, its process
  was killed while it held it, or its lease ran out. **uncalled tries**: tries that have a row and reached no provider.

`make crash-points-quick SEED=n` runs a tenth. A broken point is told as `BROKEN`, its name, and the promise that was
not kept; its name runs it alone, as often as one likes:
`.venv/bin/python -m bench.crash --only 'accept: alone; postgres Sync jobs.submit #1; killed'`."""
