"""Views turn rows into the words and shapes that the JSON API and the pages show, without Flask and the database."""

from typing import Any

Row = dict[str, Any]  # a row as a statement returned it
