"""Log in by the link that `beacon up` prints: the page takes the code out of its own address and sends it."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from flask import redirect, request
from werkzeug.wrappers import Response

from runner_api.http import session
from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_core import login_code

PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


@blueprint.get("/login/link")
def login_link() -> Response:
    """Show the form that login.js fills. The code is behind the address's #, so that no server and no log sees it."""
    return page("login_link.html", usable=_usable(), wrong=False)


@blueprint.post("/login/link")
def redeem_link() -> Response:
    """Begin a session for a code that was not used before, or show the form again."""
    settings = services().settings
    name = login_code.redeem(Path(settings.api.login_code_file), request.form.get("code", "")) if _usable() else None
    begun = session.begin_as(settings, name) if name else None
    if begun is None:
        return page("login_link.html", 401, usable=_usable(), wrong=True)
    answer = redirect("/", 303)
    session.remember(answer, begun, settings)
    return answer


def _usable() -> bool:
    """Return whether there may be a code, and whether the browser runs on this machine without a proxy between."""
    return (
        bool(services().settings.api.login_code_file)
        and _is_loopback(request.remote_addr or "")
        and _is_loopback(urlsplit(f"//{request.host}").hostname or "")
        and not any(name in request.headers for name in PROXIED)
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
