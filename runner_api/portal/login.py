"""Log in and out."""

from flask import redirect, request
from werkzeug.wrappers import Response

from runner_api.http import session
from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, local_path, page, visitor


@blueprint.get("/login")
def login() -> Response:
    """Show the form. After the login the browser goes to `next`."""
    return page("login.html", back=local_path(request.args.get("next")), wrong=False)


@blueprint.post("/login")
def log_in() -> Response:
    """Begin a session, or show the form again for an unknown token."""
    settings = services().settings
    back = local_path(request.form.get("next"))
    begun = session.begin(settings, request.form.get("token", ""))
    if begun is None:
        return page("login.html", 401, back=back, wrong=True)
    answer = redirect(back, 303)
    session.remember(answer, begun, settings)
    return answer


@blueprint.post("/logout")
def log_out() -> Response:
    """End the session."""
    found = visitor()
    if found is not None:
        session.check_form(found, request.form)
        session.end(services().db, found)
    answer = redirect("/", 303)
    session.forget(answer)
    return answer
