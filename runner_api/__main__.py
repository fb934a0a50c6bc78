"""`python -m runner_api`: the API under gunicorn, as the Procfile starts it."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def main() -> int:
    """Serve until a signal. 1 when the database is not ready, 2 for mistakes in the configuration."""
    temporary = "" if os.environ.get(DIRECTORY) else tempfile.mkdtemp(prefix="beacon-metrics-")
    folder = Path(os.environ.setdefault(DIRECTORY, temporary))
    owner = os.getpid()
    try:
        # prometheus_client looks at the variable when it is imported, and adds up whatever files it finds there.
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob("*.db"):
            left_over.unlink()
        from runner_api.server import serve

        return serve()
    finally:
        if temporary and os.getpid() == owner:  # the server's workers are forks, and leave by here as well
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
