"""`python -m runner_api`: the API under gunicorn, as the Procfile starts it."""

import sys

from runner_api.server import serve

if __name__ == "__main__":
    sys.exit(serve())
