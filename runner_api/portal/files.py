"""Answer a request with a file: CSV for spreadsheets, JSON for programs."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import Response

from runner_api.http.wire import dumps

# A sign that begins a formula, also full-width, behind characters that a spreadsheet skips or does not show;
# and the control characters that could move a text into the next cell.
_FORMULA = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def csv_file(name: str, columns: Sequence[str], lines: Iterable[Iterable[Any]]) -> Response:
    """Return a CSV file with a line of column names. A text that a spreadsheet could run begins with an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    for line in lines:
        writer.writerow(_plain(value) for value in line)
    # The byte order mark tells a spreadsheet that the file is UTF-8.
    return _file(file.getvalue().encode("utf-8-sig"), "text/csv; charset=utf-8", name)


def json_file(name: str, body: Mapping[str, Any]) -> Response:
    """Return a JSON file."""
    return _file(dumps(body), "application/json", name)


def _plain(value: Any) -> Any:
    """Quote a text that begins like a formula: a spreadsheet would run it, and a model may write one."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def file_name(name: str) -> str:
    """Return a name that a file may have on every system, from one that contains a job's id."""
    return name.replace(":", "_")


def _file(content: str | bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{file_name(name)}"'}
    return Response(content, content_type=kind, headers=headers)
