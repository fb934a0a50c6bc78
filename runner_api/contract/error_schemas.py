"""The one shape of every error, and the shape of the description itself.

The models describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from typing import Any

from pydantic import BaseModel


class Problem(BaseModel):
    """An error (RFC 9457); `error_code` is what programs read, `error` repeats the detail."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str
    error_code: str


class OpenApi(BaseModel):
    """This document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
