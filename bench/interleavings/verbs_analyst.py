"""What the analyst does, and the label that makes a job due again, as the sessions call them."""

import os
from dataclasses import dataclass, field

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported: several of these runs share a machine

from bench.interleavings.verbs import Scene, Verb
from runner_analyst.analyst import Analyst, Computed, compute
from runner_core.db import Database
from runner_core.store import analyses
from runner_core.store.analyses import Snapshot


@dataclass
class Analysed:
    """What an analyst read, and how many jobs it has set aside because their analysis failed."""

    read: list[Snapshot] = field(default_factory=list)
    failed: int = 0


def analyse() -> Verb:
    """Look for due jobs, and analyse the first one."""

    def do(db: Database, scene: Scene) -> Analysed:
        said = Analysed()

        def watched(snapshot: Snapshot) -> Computed:
            said.read.append(snapshot)
            return compute(snapshot)

        analyst = Analyst(db, watched)
        analyst.analyse_due()
        said.failed = len(analyst.due)
        return said

    return Verb("store an analysis", "analyst", do)


def label(category: str = "hard_refusal") -> Verb:
    """Label the first answer."""

    def do(db: Database, scene: Scene) -> int | None:
        answer_id = scene.world.value("SELECT min(id) FROM kept.answers WHERE status = 'ok'")
        with db.transaction() as conn:
            added = analyses.add_label(conn, answer_id, category=category, source="human", actor="admin")
        return added["id"] if added else None

    return Verb("label", "api", do)
