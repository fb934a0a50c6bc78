"""The entry of `beacon` and `python -m runner_cli`: set up signals before any large module is imported."""

import sys
from collections.abc import Sequence

from runner_core.early_interrupt import leave_on_interrupt, repeat_lost_interrupts


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a Ctrl-C before and after it leaves without a traceback."""
    handler = leave_on_interrupt()
    repeat_lost_interrupts()
    from runner_core.standard_streams import for_a_command

    for_a_command()
    from runner_cli import commands

    try:
        return commands.main(argv, interrupt=handler)
    finally:
        leave_on_interrupt()


if __name__ == "__main__":
    sys.exit(main())
