"""The services of a process: settings, database, catalogue. Built once; routes find them through the application."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from runner_api.http.watch import Watchers
from runner_api.verbs.group_commit import GroupCommit
from runner_core.db import Database
from runner_core.regions import Catalogue
from runner_core.settings import Settings
from runner_core.trust import TrustList

NAME = "beacon"


@dataclass(frozen=True)
class Services:
    """What routes and pages work with. `trust` is None when TRUST_ENFORCE=0."""

    settings: Settings
    db: Database
    submissions: GroupCommit
    catalogue: Catalogue
    trust: TrustList | None
    watchers: Watchers

    def install(self, app: Flask) -> None:
        """Make these the services of `app`."""
        app.extensions[NAME] = self


def services() -> Services:
    """Return the services of the application that serves this request."""
    return cast(Services, current_app.extensions[NAME])
