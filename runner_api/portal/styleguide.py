"""Every component of the pages in all its states, for those who change one. Off in production."""

from datetime import UTC, datetime, timedelta

from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.views import charts
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


def _nowhere(at: datetime) -> str:
    return "#charts"
