"""Finds jobs by what a list is filtered by, newest first. What one call reads has a limit, whatever the filters are.

An index gives the jobs of a filter in the order of the list, and the other filters choose among them: at most
MAX_LOOKED jobs are looked at. When that finds too few, the jobs of a model are read from their own index, if they are
few enough to be sorted; those of a name are read so at first. If they are too many, the page has what was found, and
its cursor leads to where the look ended.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from runner_core.limits import MAX_FEW, MAX_LOOKED
from runner_core.queries import Row, rows
from runner_core.store import jobs

Place = tuple[str, str]  # (created_at as text, id)
FIRST: Place = ("infinity", "")
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True)
class Filters:
    """What is wanted of a job; None and False mean any.

    `status` is the stored status, `state` the shown one. `failures`: units failed. `wanted`: how its name or its id
    begins; the `job-` before an id may be left out.
    """

    status: str | None = None
    state: str | None = None
    failures: bool = False
    model: str | None = None
    region: str | None = None
    submitter: str | None = None
    since: datetime | None = None
    wanted: str | None = None

    @property
    def path(self) -> str | None:
        """Return the jsonpath that finds the model and the region in a plan; None without both."""
        place = f"$.{json.dumps(self.region)}" if self.region else "$.*"
        if self.model:
            return f"{place}{self._is_model}"
        return place if self.region else None

    @property
    def path_in_any(self) -> str:
        """Return the jsonpath that finds the model in any region of a plan."""
        return f"$.*{self._is_model}"

    @property
    def _is_model(self) -> str:
        return f"[*] ? (@ == {json.dumps(self.model)})"

    @property
    def names(self) -> list[str]:
        """Return the beginnings of a name that are searched for: as it is written, in small letters and in capitals.

        The index has names in the small letters of the database, and one with the locale C knows those of ASCII only.
        """
        text = self.wanted or ""
        return list(dict.fromkeys((text, text.lower(), text.upper(), text.capitalize(), text.title())))

    @property
    def beginnings(self) -> list[str]:
        """Return the beginnings of an id that are searched for."""
        text = self.wanted or ""
        return list(dict.fromkeys((text, text.lower(), f"job-{text.lower()}")))

    def match(self, job: Row) -> bool:
        """Return whether a row of lists.sql is wanted."""
        return (
            job["planned"]
            and (self.state is None or job["state"] == self.state)
            and (self.status is None or _status(job["state"]) == self.status)
            and (not self.failures or (job["failed_units"] or 0) > 0)
            and (self.submitter is None or job["submitter"] == self.submitter)
            and (self.since is None or job["created_at"] >= self.since)
            and (self.wanted is None or self._begins(job))
        )

    def _begins(self, job: Row) -> bool:
        name = (job["name"] or "").lower()
        return name.startswith((self.wanted or "").lower()) or job["id"].startswith(tuple(self.beginnings))


@dataclass(frozen=True)
class Found:
    """A page of jobs, and the place where the next page begins; None after the last. `looked`: the limit ended it."""

    jobs: list[Row]
    next: Place | None
    looked: bool = False


def find(conn: Connection[Any], filters: Filters, before: Place, page: int, *, progress: bool = False) -> Found:
    """Return a page of the jobs that are wanted, from a place on, newest first."""
    found, following, looked = matching(conn, filters, before, page)
    wanted = {"job_ids": [row["id"] for row in found], "progress": progress}
    shown = {row["id"]: row for row in rows(conn, "lists.shown", **wanted)} if found else {}
    return Found([shown[row["id"]] for row in found if row["id"] in shown], following, looked)


def matching(conn: Connection[Any], filters: Filters, before: Place, page: int) -> tuple[list[Row], Place | None, bool]:
    """Return what `find` does, with the rows of lists.sql."""
    few = _few_named(conn, filters) if filters.wanted is not None else None
    if few is None:
        seen, complete = _in_order(conn, filters, before, page)
        found = [row for row in seen if filters.match(row)]
        if len(found) > page:
            return found[:page], place_of(found[page - 1]), False
        if complete:
            return found, None, False
        few = _few_planned(conn, filters, seen)
        if few is None:
            return found, place_of(seen[-1]), True
    found = sorted((row for row in few if _key(row) < _parsed(before) and filters.match(row)), key=_key, reverse=True)
    return found[:page], place_of(found[page - 1]) if len(found) > page else None, False


def place_of(job: Row) -> Place:
    """Return the place of a job in every list."""
    return job["created_at"].astimezone(UTC).isoformat(), job["id"]


def _in_order(conn: Connection[Any], filters: Filters, before: Place, page: int) -> tuple[list[Row], bool]:
    """Return the next jobs of the narrowest filter that has an index in order, and whether there are no more."""
    asked: dict[str, Any] = {"before": before[0], "before_id": before[1], "path": filters.path}
    asked["since"] = filters.since.isoformat() if filters.since else "-infinity"
    state = filters.state or (filters.status if filters.status != "completed" else None)
    name: str
    others: list[object]
    if filters.submitter is not None:
        name, others = "lists.by_submitter", [state, filters.status, filters.failures]
        asked["submitter"] = filters.submitter
    elif filters.failures:
        name, others = "lists.with_failures", [state, filters.status]
    elif state:
        name, others = "lists.by_state", []
        asked["state"] = state
    else:
        name, others = "lists.newest", [filters.status]
    is_all = not any((*others, filters.path, filters.wanted))
    most = page + 1 if is_all else MAX_LOOKED
    seen = rows(conn, name, most=most, **asked)
    return seen, len(seen) < most


def _few_named(conn: Connection[Any], filters: Filters) -> list[Row] | None:
    """Return all jobs of which a name or an id begins as searched for; None if they are too many to be sorted."""
    asked = {"names": filters.names, "ids": filters.beginnings, "last": _LAST_CHARACTER, "path": filters.path}
    return _few(rows(conn, "lists.named", most=MAX_FEW + 1, **asked))


def _few_planned(conn: Connection[Any], filters: Filters, seen: list[Row]) -> list[Row] | None:
    """Return all jobs of a model, or of a region if no model is asked for; None if they are too many to be sorted.

    `seen`: jobs that were looked at. Where these are too many already, the index is not asked: before PostgreSQL gives
    the first job from an index of this kind, it reads all entries of the model or region.
    """
    if not filters.path or sum(row["planned"] for row in seen) > MAX_FEW:
        return None
    if filters.model:
        asked = {"path": filters.path, "in_any": filters.path_in_any}
        return _few(rows(conn, "lists.planned", most=MAX_FEW + 1, **asked))
    return _few(rows(conn, "lists.in_region", most=MAX_FEW + 1, region=filters.region))


def _few(read: list[Row]) -> list[Row] | None:
    found = {row["id"]: row for row in read}
    return list(found.values()) if len(found) <= MAX_FEW else None


def _status(state: str) -> str:
    return "completed" if state == "partial" else state


def _key(job: Row) -> tuple[datetime, str]:
    return job["created_at"], job["id"]


def _parsed(place: Place) -> tuple[datetime, str]:
    at = datetime.max.replace(tzinfo=UTC) if place[0] == FIRST[0] else datetime.fromisoformat(place[0])
    return at, place[1]


def plain(conn: Connection[Any], status: str | None, before: Place, page: int, *, progress: bool = False) -> Found:
    """Return a page of all jobs, or of those with a status: with one statement."""
    found = jobs.listed(conn, status, before, page + 1, progress=progress)
    return Found(found[:page], place_of(found[page - 1]) if len(found) > page else None)
