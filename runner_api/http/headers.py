"""The headers of every page: what a browser may load, show and keep."""

from functools import partial

from flask import Response

# Everything comes from here; nothing runs inline, no other site may frame a page or receive a form.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HTML = "text/html; charset=utf-8"


def protect(response: Response) -> None:
    """The headers of every page."""
    add = partial(response.headers.setdefault)
    add("Content-Security-Policy", POLICY)
    add("Referrer-Policy", "same-origin")
    add("X-Frame-Options", "DENY")
    if response.mimetype == "text/html":
        add("Cache-Control", "no-store")  # who may see it can change, and a job does
