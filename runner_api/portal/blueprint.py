"""The portal's blueprint: rendering, sessions, and who may read and change what."""

import hashlib
import re
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from runner_api.http import session
from runner_api.http.auth import check_reader, sends_token
from runner_api.http.headers import HTML, protect
from runner_api.http.services import services
from runner_api.verbs.actor import Actor
from runner_core.errors import Rejected, SpecError

blueprint = Blueprint("portal", __name__, template_folder="templates")

OPEN = ("portal.login", "portal.log_in", "portal.login_link", "portal.redeem_link", "portal.static")
TAG = "X-Page-Tag"  # portal.js sends back the tag of the page that it shows
PARTS = "X-Part-Tags"  # and the tags of the page's parts, which it needs no second time
RELEASE = "X-Page-Release"  # of these templates: another release may draw the same part otherwise
_TOKEN = re.compile(r'name="csrf" value="[^"]*"')
_HERE = re.compile(r"/(?![/\\])[\x21-\x7e]{0,1000}", re.ASCII)


class LoginNeeded(Rejected):
    """Log in with an administrator's token first."""


def page(template: str, status: int = 200, **values: object) -> Response:
    """Render a page. 204 for a page that refreshes itself and shows the same content already."""
    html = render_template(template, **values)
    if status != 200:
        return Response(html, status, content_type=HTML)
    # Without the token of forms, which differs each time.
    tag = hashlib.sha256(_TOKEN.sub("", html).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    if refreshing() and request.headers.get(TAG) == tag:
        return Response(status=204, headers={TAG: tag})
    return Response(html, headers={TAG: tag}, content_type=HTML)


def refreshing() -> bool:
    """Return whether an open page asks for its own content again."""
    return "HX-Request" in request.headers


def known_parts() -> frozenset[str]:
    """Return the tags of the parts that the page which refreshes itself shows already, as this release draws them."""
    if not refreshing() or request.headers.get(RELEASE) != release():
        return frozenset()
    return frozenset(request.headers.get(PARTS, "").split(","))


@cache
def release() -> str:
    """Return a tag of all templates and static files. They change with the program only."""
    folder = Path(__file__).parent
    paths = sorted(path for name in ("templates", "static") for path in (folder / name).rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()[:16]


def visitor() -> session.Session | None:
    """Return the session of the browser, None without a login."""
    return session.current(services().settings, services().db)


def administrator() -> tuple[Actor, session.Session]:
    """Return the administrator who is logged in. Raises LoginNeeded; Rejected admin_disabled without any token."""
    if not services().settings.api.admin_tokens:
        raise Rejected("admin_disabled", "No administrator's token is configured: set ADMIN_TOKENS.")
    found = visitor()
    if found is None or not found.administrator:
        raise LoginNeeded("unauthorized", "This needs an administrator. Log in with an administrator's token.")
    return Actor(found.name), found


def form_sender() -> Actor:
    """Return the administrator who sent this form. Raises like `administrator`; Rejected forbidden; SpecError.

    A form with U+0000 is refused here for all pages: PostgreSQL takes this character in no text, and no browser sends
    it.
    """
    actor, found = administrator()
    session.check_form(found, request.form)
    if any("\0" in text for _, texts in request.values.lists() for text in texts):
        raise SpecError(detail="The form has the character U+0000. Go back, load the page again and repeat it.")
    return actor


def local_path(text: str | None) -> str:
    """Return `text` when it is a path on this site, else the path of the first page."""
    return text if text and _HERE.fullmatch(text) else "/"


def to_login() -> AnyResponse:
    """Redirect the browser to the login page, and back after the login."""
    back = request.full_path.rstrip("?") if request.method == "GET" else (request.referrer or "/")
    return go_to(url_for("portal.login", next=local_path(back)))


def go_to(path: str) -> AnyResponse:
    """Redirect the browser. htmx would put the target of a 303 into the present page, so it gets a header instead."""
    if refreshing():
        return Response(status=204, headers={"HX-Redirect": path})
    return redirect(path, 303)


@blueprint.before_request
def _guard() -> AnyResponse | None:
    if request.method == "POST":
        session.check_origin()
    if services().settings.api.read_tokens and request.endpoint not in OPEN and visitor() is None:
        if request.method not in ("GET", "HEAD") or not sends_token():
            return to_login()
        check_reader()  # a program reads a job's files with its token, and follows no redirect to a form
    return None


@blueprint.after_request
def _protect(response: Response) -> Response:
    protect(response)
    return response
