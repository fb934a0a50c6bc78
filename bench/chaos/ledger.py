"""The results of a run in a form that can be stored and added up: one row a fault, and the totals."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.chaos.drills import Drill
from bench.chaos.faults import Fault
from bench.chaos.modes import Mode
from bench.chaos.storm import Injection
from bench.chaos.tally import Tally


class LedgerError(Exception):
    """Ledgers can't be read or can't be added up."""


@dataclass(frozen=True)
class Row:
    """The results of one fault. `recovery`: the seconds for each time that it was caused; None: not before the end.

    Failovers only: `first_accepted`, the seconds to the first 202 for a job that was sent afterwards, likewise, and
    `read_only`, the log lines about a read-only server later than ten seconds after the fault.
    """

    name: str
    told: str
    runs: int
    missed: int  # times that the fault met no work, and so proves nothing
    lost: int
    duplicated: int
    repeated: int
    fenced: int
    recovery: list[float | None]
    first_accepted: list[float | None] = field(default_factory=list)
    read_only: int = 0


@dataclass(frozen=True)
class Ledger:
    """The results of one part, or the sum of several. `seeds` and `spans` (Unix times of begin and end) have one entry
    a part. `settings`: those that differ from the product's defaults."""

    mode: str
    commit: str
    machine: str
    settings: dict[str, str]
    lease_seconds: float
    breaker_seconds: float
    processes: dict[str, int]
    jobs_per_second: float
    seeds: list[int]
    spans: list[tuple[float, float]]
    rows: list[Row]
    drills: list[Drill]
    reclaimed: list[float]  # seconds from each SIGKILL of a worker to the next claim of each region of it
    accepted: int
    terminal: int
    region_runs: int
    answers: int
    calls: int
    repeated: int
    vain_calls: int
    tries: int
    received: int
    struck: int
    fenced: int
    statuses: dict[str, int]
    failures: dict[str, int]
    lost: list[str]
    duplicated: list[str]
    wrong: list[str]
    verified: bool
    short: list[str]  # why the part proves nothing

    @property
    def clean(self) -> bool:
        """Return whether every promise was kept."""
        broken = self.lost or self.duplicated or self.wrong
        return self.verified and not broken and self.terminal == self.accepted

    @property
    def faults(self) -> int:
        """Return how many faults were caused, `none` not counted."""
        return sum(row.runs for row in self.rows if row.name != "none")

    @property
    def status(self) -> int:
        """Return the exit status: 1 for a broken promise, 2 for a run that proves nothing, else 0."""
        return 1 if not self.clean else 2 if self.short else 0


def rows(faults: Sequence[Fault], injections: Sequence[Injection], tally: Tally, fenced: Sequence[float]) -> list[Row]:
    """Return one row a fault. Each loss, duplicate and repeated call counts for the last fault before it."""
    lost = _shares(injections, (at for at, _ in tally.lost))
    duplicated = _shares(injections, (at for at, _ in tally.duplicated))
    repeated, zombies = _shares(injections, tally.repeated), _shares(injections, fenced)
    found = []
    for fault in faults:
        mine = [i for i in injections if i.fault is fault]
        met = [i for i in mine if not i.missed]
        told = fault.told + (" (from its end)" if fault.from_end else "")
        felt = [None if i.recovery_seconds is None else round(i.recovery_seconds, 2) for i in met]
        found.append(
            Row(
                name=fault.name,
                told=told,
                runs=len(met),
                missed=len(mine) - len(met),
                lost=lost[fault.name],
                duplicated=duplicated[fault.name],
                repeated=repeated[fault.name],
                fenced=zombies[fault.name],
                recovery=felt,
            )
        )
    return found


def shortcomings(ledger: Ledger, *, least_accepted: int, least_runs: int) -> list[str]:
    """Return the reasons why a part proves nothing."""
    found = []
    if ledger.accepted < least_accepted:
        found.append(f"{ledger.accepted} jobs accepted, at least {least_accepted} are needed")
    for row in ledger.rows:
        if row.runs < least_runs:
            found.append(f"{row.name} was caused {row.runs} times, at least {least_runs} are needed")
        if row.missed:
            found.append(f"{row.name} met no run in flight, {row.missed} times")
    return found


def part(
    mode: Mode,
    about: Mapping[str, Any],
    found: Sequence[Row],
    tally: Tally,
    *,
    fenced: int,
    drilled: Sequence[Drill],
    reclaimed: Sequence[float],
) -> Ledger:
    """Return the ledger of one part. `about` has its seed, commit, machine, span and jobs a second."""
    product = mode.product
    return Ledger(
        mode=mode.name,
        settings=dict(mode.settings),
        lease_seconds=product.jobs.lease_seconds,
        breaker_seconds=product.worker.breaker_seconds,
        processes=dict(mode.counts),
        rows=list(found),
        drills=list(drilled),
        reclaimed=[round(seconds, 2) for seconds in reclaimed],
        repeated=len(tally.repeated),
        struck=len(tally.struck),
        fenced=fenced,
        verified=tally.verified,
        statuses=dict(tally.statuses),
        failures=dict(tally.failures),
        lost=[words for _, words in tally.lost],
        duplicated=[words for _, words in tally.duplicated],
        wrong=[words for _, words in tally.wrong],
        short=[],
        **{name: getattr(tally, name) for name in COUNTED},
        **about,
    )


def write(path: Path, ledgers: Iterable[Ledger]) -> None:
    """Write ledgers as a JSON array, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(asdict(ledger)) for ledger in ledgers) + "\n]\n")


def read(path: Path) -> list[Ledger]:
    """Return the ledgers of a file. Raises LedgerError."""
    names = {one.name for one in fields(Ledger)}
    try:
        found = json.loads(path.read_text())
        for one in found:
            if unlike := names ^ one.keys():
                raise LedgerError(f"{path} is of another form: it lacks or adds {', '.join(sorted(unlike))}")
        return [_ledger(one) for one in found]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LedgerError(f"{path} is no ledger: {error}") from None


def _ledger(one: dict[str, Any]) -> Ledger:
    spans = [(begin, end) for begin, end in one["spans"]]
    drilled = [Drill(**drill) for drill in one["drills"]]
    return Ledger(**one | {"spans": spans, "drills": drilled, "rows": [Row(**row) for row in one["rows"]]})


def _shares(injections: Sequence[Injection], moments: Iterable[float]) -> Counter[str]:
    """Count the moments for each fault: a moment belongs to the last fault that was caused before it."""
    shares: Counter[str] = Counter()
    for moment in moments:
        earlier = [injection for injection in injections if injection.caused <= moment]
        shares[earlier[-1].fault.name if earlier else "none"] += 1
    return shares


COUNTED = ("accepted", "terminal", "region_runs", "answers", "calls", "vain_calls", "tries", "received")
