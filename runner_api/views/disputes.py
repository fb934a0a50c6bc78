"""Which answers of a job rules and embedding differ about, for the page on which people label. No I/O."""

from collections.abc import Iterable, Mapping

from runner_api.views import Row
from runner_core.comparison.export import Scores
from runner_core.refusals import Label, Spoken, categorise
from runner_core.refusals.scored import disputed, stored_score, text_key

MOST = 10_000  # answers of which the rules' label is kept, some 5 MB


class Disputes:
    """Finds disputed answers, and keeps what the rules say of each text.

    The rules need up to 0.1 s for an answer, and a page shows a sample of up to 2,000 answers again after each label.
    """

    def __init__(self) -> None:
        self._by_rules: dict[tuple[object, ...], Label] = {}

    def among(self, calls: Iterable[Row], questions: Mapping[str, str], scores: Scores) -> set[int]:
        """Return the ids of the disputed answers.

        `calls` are rows of reads.rows whose answer has a text, `questions` the texts by id, and `scores` the stored
        results of sentence embeddings by `text_key`. Without one of them an answer is not disputed.
        """
        found = set()
        for call in calls:
            key = text_key(call["output"]["response"])
            stored = scores.get(key)
            if stored is None:
                continue
            if disputed(self._label(key, questions[call["question_id"]], call["output"]), stored_score(stored)):
                found.add(call["id"])
        return found

    def _label(self, key: bytes, question: str, output: Row) -> Label:
        circumstances = tuple(output.get(name) for name in ("finish_reason", "refusal_source", "filter"))
        place = (key, question, *circumstances)
        label = self._by_rules.get(place)
        if label is None:
            label = categorise(Spoken(question, output["response"], *circumstances))
            if len(self._by_rules) >= MOST:
                self._by_rules.clear()
            self._by_rules[place] = label
        return label
