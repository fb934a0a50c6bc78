"""Ctrl-C before a program has handlers of its own: it ends with 130 and without a traceback.

A KeyboardInterrupt while modules are imported would be shown with its traceback, and class machinery may turn it into
another error. A handler that leaves the process can't be caught.
"""

import os
import signal
from typing import Any

INTERRUPTED = 130


def leave_on_interrupt() -> Any:
    """Let SIGINT end this process from now on. Returns the handler that was there.

    A shell starts what is put in its background with SIGINT ignored: then it stays ignored."""
    earlier = signal.getsignal(signal.SIGINT)

    def leave(*_: object) -> None:
        os._exit(INTERRUPTED)

    if earlier is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # ./beacon holds it back until here
    return earlier
