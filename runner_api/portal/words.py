"""How times, durations and numbers are written on the pages."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from runner_core.durations import duration
from runner_core.statuses import sign, word


def since(moment: datetime | None) -> str:
    """How long ago: `12 s`, `3 min`, `2 h`, `4 d`."""
    return "" if moment is None else span((datetime.now(UTC) - moment).total_seconds())


def span(seconds: float | None) -> str:
    """A rough length of time in its largest unit."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"


def moment(time: datetime | None) -> str:
    """A time in UTC to the second."""
    return "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(time: datetime | None) -> str:
    """The time of day in UTC to the millisecond."""
    return "" if time is None else time.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def count(number: int | None) -> str:
    """A number with thousands set apart."""
    return "" if number is None else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def ticked(text: str) -> Markup:
    """A docstring for readers: what it has in backticks is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def pretty(value: Any) -> str:
    """JSON for readers."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


FILTERS = {
    "since": since,
    "span": span,
    "duration": duration,
    "sign": sign,
    "word": word,
    "moment": moment,
    "clock": clock,
    "count": count,
    "counted": counted,
    "ticked": ticked,
    "pretty": pretty,
}
