"""Everything that does not depend on Flask or RQ: jobs, their tables, their transactions."""


def __getattr__(name: str) -> str:
    """Return `__version__`. It is read at the first access, because the look-up would slow down every start."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("beacon-runner")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "0.0.0"
