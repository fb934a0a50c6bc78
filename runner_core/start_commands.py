"""The commands that start a missing process, for messages that report it."""

from shlex import quote


def start_command(kind: str, region: str | None = None) -> str:
    """Return the command that starts a publisher, an analyst, or a worker of `region`."""
    if kind == "worker":
        return f"python -m runner_worker --region {quote(region or '')}"
    return "python -m runner_analyst" if kind == "analyst" else "python -m outbox_publisher"
