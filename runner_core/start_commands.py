"""The commands that start a missing process, for messages that report it."""

from shlex import quote


def start_command(kind: str, region: str | None = None) -> str:
    """Return the command that starts a publisher, or a worker of `region`."""
    return (
        f"python -m runner_worker --region {quote(region or '')}" if kind == "worker" else "python -m outbox_publisher"
    )
