"""What the commands print: results on stdout, remarks on stderr, and never a terminal's control codes from a model."""

import json
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Control characters could move the cursor, recolour the screen or write to the clipboard; bidirectional overrides
# could make a text read as another. New lines and tabs stay.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: object) -> str:
    """`text` as it may be shown in a terminal: what would steer it is replaced by U+FFFD."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def say(*lines: str) -> None:
    """Print a result on stdout."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def remark(*lines: str) -> None:
    """Print a remark on stderr, where it does not mix with what a script reads."""
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def say_json(value: Any) -> None:
    """Print a JSON document: indented for a person, on one line for a pipe. ASCII only, so it steers no terminal."""
    say(json.dumps(value, indent=2 if sys.stdout.isatty() else None, default=str))


def console(piped_width: int = 100) -> "Console":
    """A rich console on stdout, `piped_width` columns wide when nobody looks. NO_COLOR is obeyed."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else piped_width)


def seconds(milliseconds: float | None) -> str:
    """A duration for people: `40 ms`, `1.2 s`, `12 s`, `3 min 05 s`."""
    if milliseconds is None:
        return ""
    if milliseconds < 100:
        return f"{milliseconds:.0f} ms"
    whole = milliseconds / 1000
    if whole < 10:
        return f"{whole:.1f} s"
    if whole < 60:
        return f"{whole:.0f} s"
    return f"{int(whole // 60)} min {int(whole % 60):02d} s"
