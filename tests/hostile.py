"""Settings that a database or a role may have of its own, each at a value that changes what is sent or read."""

import psycopg

from tests.cells import database_of

HOSTILE = {
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/St_Johns",
    "array_nulls": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "exit_on_error": "on",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
}


def set_for_database(owner_url: str, settings: dict[str, str]) -> None:
    """Make these the settings of every session of the database that begins now."""
    database = database_of(owner_url)
    with psycopg.connect(owner_url, autocommit=True) as conn:
        for name, value in settings.items():
            conn.execute(f"ALTER DATABASE {database} SET {name} = '{value}'".encode())
