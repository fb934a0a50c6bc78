"""Rows in, words and shapes out: what the JSON API and the pages show. Neither Flask nor the database is known here."""

from typing import Any

Row = dict[str, Any]  # a row as a statement returned it
