"""Ctrl-C and SIGTERM as KeyboardInterrupt, at a moment when it does no harm.

Raised while a process forks, the exception is swallowed by the interpreter's fork hooks, or leaves the logging module's
lock held for ever: the command would go on, or hang. So the signal is put off until the fork is over.
"""

import os
import signal
from types import FrameType

AGAIN_SECONDS = 0.05
FORKING = "_execute_child"  # subprocess.Popen's, from before the fork until the program runs


def install() -> None:
    """Handle SIGINT and SIGTERM in this process; call it from the main thread."""
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a child that has not become its program yet; its parent will end it
            return
        while frame is not None:
            if frame.f_code.co_name == FORKING:
                signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
                return
            frame = frame.f_back
        raise KeyboardInterrupt

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(sign, interrupt)
