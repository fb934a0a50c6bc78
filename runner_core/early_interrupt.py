"""Ctrl-C before a program has handlers of its own: it ends with 130 and without a traceback.

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
    """Let SIGINT end this process from now on. Returns the handler that was there.

    A shell starts what is put in its background with SIGINT ignored: then it stays ignored."""
    earlier = signal.getsignal(signal.SIGINT)

    def leave(*_: object) -> None:
        os._exit(INTERRUPTED)

    if earlier is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # ./beacon holds it back until here
    return earlier


def repeat_lost_interrupts() -> None:
    """Send SIGINT again when its KeyboardInterrupt was raised where the interpreter can only ignore it.

    That is a callback of a weak reference or a finaliser, such as that of the lock of a module which is being imported.
    """
    earlier = sys.unraisablehook

    def hook(unraisable: "UnraisableHookArgs") -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            earlier(unraisable)

    sys.unraisablehook = hook
