"""Write times, durations, numbers, ids and questions for the pages."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from runner_core.durations import duration, speed_ms
from runner_core.job_ids import short
from runner_core.regions import PROMPT_ID
from runner_core.statuses import in_order, sign, word

MAX_BRIEF = 60  # characters of a question's beginning
_MADE_FROM_TEXT = re.compile(r"text-[0-9a-f]{16}", re.ASCII)
_OVERRIDES = dict.fromkeys((0x202D, 0x202E), "\N{REPLACEMENT CHARACTER}")


def since(moment: datetime | None) -> str:
    """Return how long ago a time was: `12 s`, `3 min`, `2 h`, `4 d`."""
    return "" if moment is None else span((datetime.now(UTC) - moment).total_seconds())


def span(seconds: float | None) -> str:
    """Return a rough length of time in its largest unit."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"


def moment(time: datetime | None) -> str:
    """Return a time in UTC to the second."""
    return "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(time: datetime | None) -> str:
    """Return the time of day in UTC to the millisecond."""
    return "" if time is None else time.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def time_of_day(time: datetime) -> str:
    """Return the time of day in UTC to the second."""
    return time.astimezone(UTC).strftime("%H:%M:%S UTC")


def count(number: int | None) -> str:
    """Return a number with separated thousands."""
    return "" if number is None else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 call`, `2 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def has_id(question_id: str) -> bool:
    """Return whether a question has an id: the prompt of a job without questions has none."""
    return question_id != PROMPT_ID


def brief(question_id: str, text: str) -> str:
    """Return a question in a few words: its id in the catalogue, or the beginning of a text from the job."""
    if has_id(question_id) and not _MADE_FROM_TEXT.fullmatch(question_id):
        return question_id
    beginning = " ".join(text[:MAX_BRIEF].split())
    return f"{beginning} …" if len(text) > MAX_BRIEF else beginning


def shown(value: object) -> object:
    """Return a value as a page shows it: characters that reverse the following text become U+FFFD.

    Only plain text is changed. Markup is ours, and a form must send an Exact text back unchanged.
    """
    return value.translate(_OVERRIDES) if type(value) is str else value


class Exact(str):
    """A text that a form sends back: it stays as it was received."""


def ticked(text: str) -> Markup:
    """Return a docstring as markup: text in backticks becomes code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def pretty(value: Any) -> str:
    """Return indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


FILTERS = {
    "since": since,
    "span": span,
    "duration": duration,
    "sign": sign,
    "word": word,
    "in_order": in_order,
    "moment": moment,
    "clock": clock,
    "time_of_day": time_of_day,
    "count": count,
    "counted": counted,
    "short": short,
    "has_id": has_id,
    "brief": brief,
    "speed_ms": speed_ms,
    "ticked": ticked,
    "pretty": pretty,
}
