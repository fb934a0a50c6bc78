"""Turn rows of a list of jobs into what the list shows, and the last hour into a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_api.views import Row
from runner_api.views.words import count, counted
from runner_core.statuses import in_order, verdict

WIDTH, HEIGHT = 240, 28
STEP = WIDTH / 60
TIMES = " \N{MULTIPLICATION SIGN} "


def listed(row: Row) -> dict[str, Any]:
    """Return what the list shows of a job."""
    models = dict.fromkeys(model for region in row["plan"].values() for model in region)
    shown = {**row, **row["units"], "regions": in_order(row["plan"]), "models": list(models)}
    shown["verdict"] = verdict(row["status"], row["cross_status"], shown["failed"])
    shown["ended"] = shown["completed"] + shown["failed"] + shown["cancelled"]
    asked = (counted(row["questions"], "question"), counted(len(models), "model"), counted(len(row["plan"]), "region"))
    runs = [counted(row["runs"], "run")] if row["runs"] > 1 else []
    shown["size"] = TIMES.join(str(n) for n in (row["questions"], len(models), len(row["plan"])))
    shown["asked"] = f"{TIMES.join([*asked, *runs])}: {', '.join(models)} in {', '.join(shown['regions'])}"
    return shown


def remarks(filters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the name and the words of each filter but the status: a chip each."""
    words = {
        "q": "name or id begins with {}",
        "failures": "with failures",
        "model": "model {}",
        "region": "region {}",
        "submitter": "submitted by {}",
        "since": "since {}",
    }
    told = dict(filters)
    if told.get("since", "")[-1:] in ("m", "h", "d"):
        told["since"] = f"{told['since']} ago"
    return [(name, text.format(f"\u2068{told[name]}\u2069")) for name, text in words.items() if name in told]


@dataclass(frozen=True)
class Minute:
    """One minute's bar: the lower part is of jobs that ended well, the upper part of those with failures."""

    x: float
    well: float
    bad: float
    title: str


@dataclass(frozen=True)
class Hour:
    """The last hour. `rows` are the minutes in which a job ended, as (time, well, with failures), newest first."""

    minutes: list[Minute]
    rows: list[tuple[str, str, str]]
    told: str


def hour(found: Sequence[Row]) -> Hour:
    """Return the picture of the jobs that ended in the last hour, from the rows of lists.ended."""
    top = max(1, *(row["well"] + row["bad"] for row in found))
    unit = HEIGHT / top
    minutes = [
        Minute(number * STEP, row["well"] * unit, row["bad"] * unit, _minute(row))
        for number, row in enumerate(found)
        if row["well"] + row["bad"]
    ]
    rows = [(f"{row['minute']:%H:%M}", _number(row, "well"), _number(row, "bad")) for row in reversed(found)]
    rows = [row for row, minute in zip(rows, reversed(found), strict=True) if minute["well"] + minute["bad"]]
    well, bad = (sum(row[name] for row in found) for name in ("well", "bad"))
    least = "at least " if any(row["uncounted"] for row in found) else ""
    told = f"{least}{counted(well + bad, 'job')} ended in the last hour, {count(bad)} with failures"
    return Hour(minutes, rows, told if well + bad else "No job ended in the last hour")


def _minute(row: Row) -> str:
    return f"{row['minute']:%H:%M} UTC: {_number(row, 'well')} ended well, {_number(row, 'bad')} with failures"


def _number(row: Row, name: str) -> str:
    return f"{count(row[name])}{'+' if row['uncounted'] else ''}"
