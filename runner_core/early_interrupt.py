"""Ends the process with status 130 and without a traceback when Ctrl-C comes before the program's own handlers exist.

A KeyboardInterrupt while modules are imported would be shown with its traceback, and class machinery may turn it into
another error. A handler that leaves the process can't be caught.
"""

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130
AGAIN_SECONDS = 0.02


def leave_on_interrupt() -> Any:
    """Let SIGINT end this process from now on. Return the earlier handler.

    A shell starts its background processes with SIGINT ignored: in these SIGINT stays ignored."""
    earlier = signal.getsignal(signal.SIGINT)

    def leave(*_: object) -> None:
        os._exit(INTERRUPTED)

    if earlier is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # ./beacon blocks SIGINT until this point
    return earlier


def repeat_lost_interrupts() -> None:
    """Send SIGINT again when its KeyboardInterrupt was raised where the interpreter ignores exceptions.

    These places are finalisers and callbacks of weak references, for example of a module's import lock.
    """
    earlier = sys.unraisablehook

    def hook(unraisable: "UnraisableHookArgs") -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            earlier(unraisable)

    sys.unraisablehook = hook
