"""Stores the rows and logs of a run before its servers stop and its folder is deleted."""

import shutil
from pathlib import Path

import psycopg
from psycopg import sql

from bench.chaos.deployment import Deployment


def rows(deployment: Deployment, table: str, path: Path) -> None:
    """Write a table as CSV: a header, then the rows in the order of the primary key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with psycopg.connect(deployment.postgres.url, autocommit=True) as conn, path.open("wb") as file:
        keys = [name for (name,) in conn.execute(KEYS, [table])]
        query = sql.SQL("COPY (SELECT * FROM {} {}) TO STDOUT (FORMAT csv, HEADER)").format(
            sql.Identifier(table),
            sql.SQL("ORDER BY {}").format(sql.SQL(", ").join(map(sql.Identifier, keys))) if keys else sql.SQL(""),
        )
        with conn.cursor().copy(query) as copied:
            for block in copied:
                file.write(block)


def evidence(deployment: Deployment, folder: Path) -> None:
    """Copy every table, the logs of processes and servers, and the provider's own log."""
    for row in deployment.ask("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
        rows(deployment, row["tablename"], folder / f"{row['tablename']}.csv")
    shutil.copytree(deployment.home / "log", folder / "log", dirs_exist_ok=True)
    for server in ("postgres", "valkey"):
        shutil.copy(deployment.home / server / "server.log", folder / f"{server}.log")
    shutil.copy(deployment.calls, folder)


KEYS = """SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indisprimary AND i.indrelid = %s::regclass"""
