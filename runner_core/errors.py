"""The project's exceptions. The docstring of a class is its default message. psycopg's errors are not wrapped."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


class BeaconError(Exception):
    """Something went wrong."""

    code = "internal_error"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        super().__init__(self.detail)


class ConfigError(BeaconError):
    """The configuration has mistakes."""

    code = "config_error"

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join(self.mistakes))


class Mistakes(list[str]):
    """Collects the mistakes of several readers of the configuration without duplicates, to report all together."""

    def of(self, read: Callable[[], T]) -> T | None:
        """Return the result of `read`. If it raises ConfigError, add its mistakes and return None."""
        try:
            return read()
        except ConfigError as error:
            self.extend(mistake for mistake in error.mistakes if mistake not in self)
            return None


class NotReady(BeaconError):
    """The database or its schema is not ready."""

    code = "not_ready"


class MigrationError(BeaconError):
    """The database can't be migrated."""

    code = "migration_error"


class Rejected(BeaconError):
    """The request was refused and nothing was stored."""

    code = "validation_error"

    def __init__(self, code: str | None = None, detail: str | None = None) -> None:
        self.code = code or type(self).code
        super().__init__(detail)


class SpecError(Rejected):
    """The job is not valid."""


class SignatureError(Rejected):
    """The signature does not match the job."""

    code = "signature_mismatch"


class NotFound(Rejected):
    """There is no such thing."""

    code = "not_found"


class Conflict(Rejected):
    """The job's state does not allow this."""

    code = "conflict"
