"""All verbs. A new statement of one of these verbs gets points without a change here; a new verb needs an entry."""

from bench.crash import verbs_analyst, verbs_api, verbs_migrate, verbs_publisher, verbs_worker
from bench.crash.verb import Verb

VERBS: list[Verb] = [
    *verbs_api.VERBS,
    *verbs_publisher.VERBS,
    *verbs_worker.VERBS,
    *verbs_analyst.VERBS,
    *verbs_migrate.VERBS,
]
BY_NAME = {verb.name: verb for verb in VERBS}
