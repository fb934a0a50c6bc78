"""The name that operators give to `rq worker --job-class`; the code is in runner_worker/rq/job.py."""

from runner_worker.rq.job import RegionJob as RegionJob
