"""`python -m runner_api`: the API under gunicorn, as the Procfile starts it."""

if __name__ == "__main__":  # before the imports that take long: a Ctrl-C meanwhile, and streams that are closed or full
    from runner_core.early_interrupt import leave_on_interrupt

    leave_on_interrupt()
    from runner_core.standard_streams import for_a_server

    for_a_server()

import sys

from runner_api.server import serve

if __name__ == "__main__":
    sys.exit(serve())
