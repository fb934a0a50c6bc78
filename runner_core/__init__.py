"""What stays true if Flask and RQ were replaced: the job, its tables, its transactions. Knows no web and no queue."""


def __getattr__(name: str) -> str:
    """`__version__`, read when it is asked for: looking it up takes longer than all that comes before a handler."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("beacon-runner")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "0.0.0"
