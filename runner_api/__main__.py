"""`python -m runner_api`: the API under gunicorn, as the Procfile starts it."""

# The imports below take long.
if __name__ == "__main__":
    from runner_core.server_start import begin

    begin()

import argparse
import sys

from runner_api.server.serve import serve

if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m runner_api",
        description="Takes jobs over HTTP and answers questions about them. Environment variables hold its settings.",
    ).parse_args()
    sys.exit(serve())
