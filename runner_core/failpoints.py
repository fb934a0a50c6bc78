"""Named places in the code where a test may kill or stop the process. Only BEACON_FAILPOINT activates one.

`BEACON_FAILPOINT=publisher.pushed=kill` ends the process there with SIGKILL, as a crash would;
`name=kill@FILE` does so only if it can create FILE, so that a restarted process passes;
`name=hold@FILE` waits there for as long as FILE exists.
"""

import os
import signal
import time
from pathlib import Path


def _parse(text: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in text.split(",") if "=" in entry)


_POINTS = _parse(os.environ.get("BEACON_FAILPOINT", ""))


def failpoint(name: str) -> None:
    """Do nothing, unless BEACON_FAILPOINT names this place."""
    if _POINTS and (action := _POINTS.get(name)):
        _act(*action.partition("@")[::2])


def _act(action: str, file: str) -> None:
    if action == "kill":
        if file:
            try:
                Path(file).touch(exist_ok=False)
            except FileExistsError:
                return
        os.kill(os.getpid(), signal.SIGKILL)
    while action == "hold" and Path(file).exists():
        time.sleep(0.01)
