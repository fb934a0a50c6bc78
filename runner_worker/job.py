"""Exports RegionJob under the name that operators give to `rq worker --job-class`; see runner_worker/rq/job.py."""

from runner_worker.rq.job import RegionJob as RegionJob
