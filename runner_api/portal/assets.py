"""Serve the pages' static files from memory, under their own name and under a name with the hash of their content.

A browser never asks again for a name with a hash.
"""

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Response, request
from werkzeug.exceptions import NotFound

from runner_api.http.compression import MIN_BYTES, compress, is_text, takes_gzip
from runner_api.portal.blueprint import blueprint

FOLDER = Path(__file__).parent / "static"
# One file for each subject, and one request for all of them. A later sheet may change what an earlier one says.
SHEETS = (
    *("colours", "page", "components", "forms", "job", "answers", "tables", "grid", "charts", "lanes", "jobs", "live"),
    "print",
)
SHEET = "portal.css"
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A static file. `name` contains the hash."""

    name: str
    mimetype: str
    tag: str
    data: bytes
    packed: bytes | None


@cache
def assets() -> dict[str, Asset]:
    """Return every file under both names. Read once, because the files change with the program only."""
    found: dict[str, Asset] = {}
    for own, data in _files().items():
        mimetype = mimetypes.guess_type(own)[0] or "application/octet-stream"
        tag = hashlib.sha256(data).hexdigest()[:16]
        packed = compress(data) if is_text(mimetype) and len(data) >= MIN_BYTES else None
        stem, dot, extension = own.rpartition(".")
        asset = Asset(f"{stem}.{tag}{dot}{extension}", mimetype, tag, data, packed)
        found |= {own: asset, asset.name: asset}
    return found


def _files() -> dict[str, bytes]:
    paths = [path for path in sorted(FOLDER.rglob("*")) if path.suffix in (".css", ".js", ".svg")]
    files = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}
    return files | {SHEET: b"\n".join(files.pop(f"sheets/{name}.css") for name in SHEETS)}


def address(name: str) -> str:
    """Return the address of a file, for templates. Raises KeyError for an unknown file."""
    return f"/static/{assets()[name].name}"


@blueprint.get("/static/<path:name>", endpoint="static")
def static(name: str) -> Response:
    """Serve a static file."""
    asset = assets().get(name)
    if asset is None:
        raise NotFound
    packed = asset.packed if takes_gzip() else None
    text = asset.mimetype.startswith("text/")
    answer = Response(packed or asset.data, content_type=f"{asset.mimetype}; charset=utf-8" if text else asset.mimetype)
    if packed:
        answer.headers["Content-Encoding"] = "gzip"
    answer.vary.add("Accept-Encoding")
    answer.headers["Cache-Control"] = FOR_EVER if name == asset.name else "no-cache"
    answer.set_etag(asset.tag, weak=True)
    answer.make_conditional(request)
    return answer
