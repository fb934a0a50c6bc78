"""Build the application from its parts."""

import itertools
from typing import Any

from flask import Blueprint, Flask, g, request
from werkzeug.routing import BaseConverter

from runner_api.http import compression, problems, requests
from runner_api.http.auth import check_reader
from runner_api.http.services import Services, services
from runner_api.http.watch import Watchers
from runner_api.portal.install import install as install_portal
from runner_api.routes import (
    actions,
    admin,
    analysis,
    docs,
    executions,
    health,
    jobs,
    labels,
    methods,
    metrics,
    submissions,
)
from runner_api.routes import catalogue as catalogue_routes
from runner_api.verbs.submit import shared_submissions
from runner_core.db import Database
from runner_core.regions import Catalogue
from runner_core.settings import Settings
from runner_core.trust import TrustList


class Name(BaseConverter):
    """A part of an address that is an id. Anything else is not found without asking the database.

    PostgreSQL could not even store a U+0000.
    """

    regex = r"[A-Za-z0-9._:-]{1,255}"


class Application(Flask):
    """Repeats reads like verbs: a client is not told of a lost connection when another connection can be had."""

    def dispatch_request(self) -> Any:
        """Called by Flask for each request."""
        if request.method not in ("GET", "HEAD"):
            return super().dispatch_request()
        tries, read = itertools.count(), super().dispatch_request

        def dispatch() -> Any:
            if next(tries):
                g.pop("session", None)  # a session that could not be looked up is looked up again
            return read()

        return services().db.retry(dispatch)


class MethodName(BaseConverter):
    """The id of a method of comparison, which has slashes."""

    regex = r"[A-Za-z0-9._:+-]+(?:/[A-Za-z0-9._:+-]+){0,8}"


class JobName(Name):
    """A job's id, where /jobs/cross-region is an address of its own, which takes POST only: 405 for others."""

    regex = rf"(?!cross-region$){Name.regex}"


def create_app(
    settings: Settings,
    db: Database,
    catalogue: Catalogue,
    trust: TrustList | None,
    watchers: Watchers | None = None,
) -> Flask:
    """Return the application on an open database. With `trust` None every key may submit.

    No thread starts before a request needs one.
    """
    app = Application("runner_api", static_folder=None)
    app.url_map.converters.update(default=Name, job=JobName, method=MethodName)
    Services(settings, db, shared_submissions(db), catalogue, trust, watchers or Watchers(db)).install(app)
    requests.install(app)
    compression.install(app)
    problems.install(app)
    api = Blueprint("api", __name__, url_prefix="/api/v1")
    api.before_request(check_reader)
    for resource in (submissions, jobs, analysis, methods, labels, actions, executions, catalogue_routes, docs):
        api.register_blueprint(resource.blueprint)
    for part in (api, docs.pages, health.blueprint, metrics.blueprint, admin.blueprint):
        app.register_blueprint(part)
    install_portal(app)
    metrics.install(app)
    return app
