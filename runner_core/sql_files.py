"""Finds the SQL files: sql/ in a checkout, runner_core/sql in an installed package."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def sql_files() -> Traversable:
    """Return the folder with migrations, queries, verify, roles.sql and grants.sql."""
    installed = resources.files("runner_core").joinpath("sql")
    return installed if installed.is_dir() else Path(__file__).parent.parent / "sql"
