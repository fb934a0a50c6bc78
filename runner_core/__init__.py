"""What stays true if Flask and RQ were replaced: the job, its tables, its transactions. Knows no web and no queue."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("beacon-runner")
except PackageNotFoundError:  # a checkout on the path, not installed
    __version__ = "0.0.0"
