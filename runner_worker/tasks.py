"""Exports run_region under the name that every message contains; see runner_worker/rq/tasks.py."""

from runner_worker.rq.tasks import run_region as run_region
