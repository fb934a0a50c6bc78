"""`python -m runner_api`: the API under gunicorn, as the Procfile starts it."""

# The imports below take long. A Ctrl-C during them ends the process quietly, and closed or full streams do not end it.
if __name__ == "__main__":
    from runner_core.early_interrupt import leave_on_interrupt

    leave_on_interrupt()
    from runner_core.standard_streams import for_a_server

    for_a_server()

import argparse
import sys

from runner_api.server.serve import serve

if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m runner_api",
        description="Takes jobs over HTTP and answers questions about them. Environment variables hold its settings.",
    ).parse_args()
    sys.exit(serve())
