"""Where the statements are: sql/ of a checkout, which an installed package carries as runner_core/sql."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def sql_files() -> Traversable:
    """The folder with migrations, queries, verify, roles.sql and grants.sql."""
    installed = resources.files("runner_core").joinpath("sql")
    return installed if installed.is_dir() else Path(__file__).parent.parent / "sql"
