"""Label an answer: what a person says that the answer is. Labels are only added."""

from runner_api.verbs.actor import Actor
from runner_core.db import Database, retried
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.store import analyses


@retried
def label_answer(db: Database, answer_id: int, category: str, note: str, actor: Actor) -> Row:
    """Add a person's label to an answer and return the label.

    The newest label of a person is the answer's category; the earlier ones are kept. A label that says the same as the
    answer's newest label by the same actor is that label. Raises NotFound for an answer without a text.
    """
    with db.transaction() as conn:
        added = analyses.add_label(conn, answer_id, category=category, source="human", actor=actor.name, note=note)
    if added is None:
        raise NotFound(detail=f"There is no answer {answer_id} with a text. A retry may have replaced it.")
    return added
