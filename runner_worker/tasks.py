"""The name by which every message calls the worker; the code is in runner_worker/rq/tasks.py."""

from runner_worker.rq.tasks import run_region as run_region
