"""Every component of the pages in all its states, for those who change one. Off in production."""

from datetime import UTC, datetime, timedelta

from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.views import Row, charts, failures, job_list, lanes
from runner_api.views.intervals import WINDOWS, Interval, Part
from runner_core.errors import NotFound
from runner_core.statuses import FIRST_REGIONS

BEGAN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
HOUR = WINDOWS["1h"]
STATUSES = ("completed", "partial", "failed", "running", "queued", "pending", "cancelled", "success", "timeout")
LONG = "a-model-whose-name-is-as-long-as-those-that-some-providers-give-theirs-0123456789"
ANSWERS = {
    "English": "The tower is in Paris. It was built for the World's Fair of 1889, and was the tallest building then. "
    "It is painted every seven years, which takes sixty tonnes of paint and more than a year of work.",
    "Arabic": "يقع البرج في باريس (HTTP 200, 3.14).",
    "Chinese": "埃菲尔铁塔位于巴黎,建于一八八九年。" * 6,
    "Markup": '<script>alert(1)</script> & "quotes" <b>bold</b>',
}


@blueprint.get("/styleguide")
def styleguide() -> Response:
    """Show the components. 404 unless sandbox providers are allowed."""
    if not services().settings.jobs.allow_sandbox:
        raise NotFound(detail="This page is off: it needs ALLOW_SANDBOX=1.")
    hour = [_minute(number) for number in range(HOUR.intervals)]
    split = [_split(one) for one in hour]
    return page(
        "styleguide.html",
        statuses=STATUSES,
        long=LONG,
        answers=ANSWERS,
        throughput=charts.throughput(HOUR, hour, _nowhere),
        latency=charts.latency(HOUR, hour, _nowhere),
        split=charts.latency(HOUR, split, _nowhere),
        busy=job_list.hour([_ended(one) for one in hour]),
        lanes=lanes.lanes(*_job()),
        failures=failures.failures(_failed(), lambda provider: f"{provider.upper().replace('-', '_')}_KEY"),
        job={"total": 20, "completed": 9, "failed": 3, "cancelled": 2, "running": 4},
    )


def _minute(number: int) -> Interval:
    """Return a minute of an hour with a rush, a pause, failures, and one very slow unit."""
    at = BEGAN + timedelta(minutes=number)
    units = 0 if 30 <= number < 36 else 4 + (number * 7) % 13
    failed = min(units, 5) if 20 <= number < 26 else 0
    p50 = None if not units else 360_000.0 if number == 22 else 300.0 + 40 * (number % 9)
    p95 = None if p50 is None else p50 * (1.2 if number == 22 else 4)
    return Interval(at, units, False, units - failed, failed, 0, p50, p95)


def _split(one: Interval) -> Interval:
    speed = one.p50_ms or 0
    names = (*FIRST_REGIONS, "LATAM", "AFRICA", "OCEANIA") if one.units else ()
    parts = {name: Part(9 - place, speed, speed * (1 + place)) for place, name in enumerate(names)}
    return Interval(one.at, one.units, False, one.completed, one.failed, 0, one.p50_ms, one.p95_ms, parts)


def _ended(one: Interval) -> Row:
    """Return a minute of the last hour, as lists.ended does: of the last ones not all jobs are counted."""
    uncounted = one.at >= BEGAN + timedelta(minutes=58)
    return {"minute": one.at, "well": one.completed, "bad": one.failed, "uncounted": uncounted}


def _job() -> tuple[Row, list[Row], list[Row], datetime]:
    """Return a job that runs: a region with three models, one whose wait has ended, one that nobody has claimed."""
    plan = {"US": ["model-a", "model-b", LONG], "EU": ["model-a"], "ASIA": ["model-a"]}
    job: Row = {"created_at": BEGAN, "completed_at": None, "plan": plan}
    claimed = {"US": BEGAN + timedelta(seconds=3), "EU": BEGAN + timedelta(seconds=20), "ASIA": None}
    regions = [{"region": name, "started_at": at, "finished_at": None} for name, at in claimed.items()]
    calls = [
        _call("US", "model-a", 3, 9, answered_ms=6_000),
        _call("US", "model-a", 19, 25, waited_ms=8_000, answered_ms=6_000),
        _call("US", "model-b", 8, 31, waited_ms=24_000, retry_count=2, answered_ms=4_000),
        _call("US", LONG, 5, None, waited_ms=12_000, retry_count=1),
        _call("EU", "model-a", 20, None),
        _call("ASIA", "model-a", None, None),
    ]
    return job, regions, calls, BEGAN + timedelta(seconds=40)


def _call(region: str, model: str, began: int | None, ended: int | None, **changes: int) -> Row:
    """Return a call of portal.calls, with the seconds at which it began and ended."""
    started, completed = (None if at is None else BEGAN + timedelta(seconds=at) for at in (began, ended))
    call: Row = {"region": region, "model_id": model, "begun": began is not None, "started_at": started}
    return call | {"completed_at": completed, "waited_ms": 0, "answered_ms": None, "retry_count": 0, **changes}


def _failed() -> list[Row]:
    """Return failed calls: of one cause in many places, of one in many words, of one without a message."""
    causes = [("US", "HTTP status 401: no such key", "http_401"), ("EU", "HTTP status 401: no such key", "http_401")]
    causes += [("US", f"request {number} was refused", "http_400") for number in range(5)]
    causes += [("ASIA", "", "an_unknown_code")]
    return [
        {
            "status": "failed",
            "region": region,
            "model_id": "model-a" if region == "US" else LONG,
            "error_detail": {"code": code, "message": message, "provider": f"provider-{region.lower()}"},
        }
        for region, message, code in causes
    ]


def _nowhere(at: datetime) -> str:
    return "#charts"
