"""What the commands print: results on stdout, remarks on stderr, and never a terminal's control codes from a model."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

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


def width() -> int | None:
    """The columns of the terminal that stdout is; None when it is none, and nothing has to be cut or broken."""
    return max(20, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def say_wrapped(*lines: str, indent: int = 0) -> None:
    """Print lines of prose, on a terminal broken between words, every line but a first one indented."""
    columns = width()
    if columns is None:
        say(*lines)
        return
    from runner_cli.columns import wrapped

    for line in lines:
        first, *rest = wrapped(line, columns - indent, cut=False)
        say(first, *(" " * indent + more for more in rest))


def page(*lines: str) -> None:
    """Print a result; where the terminal has too few lines through PAGER, or `less` without one. PAGER= has none."""
    if not sys.stdout.isatty() or len(lines) < shutil.get_terminal_size().lines:
        say(*lines)
        return
    try:
        pager = shlex.split(os.environ.get("PAGER", _usual_pager()))
        if not pager:
            say(*lines)
            return
        # `less` leaves at once when all fits, and the text on the screen when it is left.
        env = {"LESS": "FRX", **os.environ}
        subprocess.run(pager, input="".join(f"{line}\n" for line in lines).encode(), env=env, check=False)  # noqa: S603 - the user's own program
    except (OSError, ValueError):
        say(*lines)


def _usual_pager() -> str:
    return "less" if sys.stdin.isatty() and os.environ.get("TERM", "dumb") != "dumb" and shutil.which("less") else ""


def console() -> "Console":
    """A rich console on stdout, wide enough for anything when nobody looks. NO_COLOR is obeyed."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=width() or 10_000)


def show(renderable: "RenderableType") -> None:
    """Print what rich draws; by ourselves, because rich ends the process when the reader has left."""
    shown = console()
    with shown.capture() as text:
        shown.print(renderable)
    say(*(line.rstrip() for line in text.get().splitlines()))
