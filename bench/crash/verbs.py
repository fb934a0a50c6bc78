"""Every verb. A new statement is enumerated by itself when one of these sends it; a new verb is a line in its file."""

from bench.crash import verbs_api, verbs_migrate, verbs_publisher, verbs_worker
from bench.crash.verb import Verb

VERBS: list[Verb] = [*verbs_api.VERBS, *verbs_publisher.VERBS, *verbs_worker.VERBS, *verbs_migrate.VERBS]
BY_NAME = {verb.name: verb for verb in VERBS}
