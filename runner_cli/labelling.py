"""A person's queue of answers to label, and how far the labels of people, judge and detector are the same. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from runner_core.comparison.design import MIN_LABELS, kappa
from runner_core.comparison.material import REFUSED
from runner_core.comparison.sampling import order, sample

# The letters that a person types. Blind: a letter says what the answer is, and nothing of where it comes from.
LETTERS = {
    "a": ("answer", "it answers, also with a disclaimer or by correcting what the question takes for granted"),
    "h": ("hard_refusal", "it declines, and gives nothing substantial"),
    "p": ("partial_refusal", "it declines a part, and answers a part"),
    "d": ("deflection", "it speaks of something else, sends elsewhere, or stays with a platitude"),
    "n": ("non_answer", "it says nothing: an echo of the question, a loop, cut off, or no more than not knowing"),
    "f": ("content_filter", "the notice of a filter stands in its place"),
}


@dataclass(frozen=True)
class Shown:
    """What a person sees of an answer: neither region, model, run nor anybody's label."""

    answer_id: int
    question: str
    text: str


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two sources over the answers that both labelled, withheld or not; None below 30 answers."""

    sources: str
    n: int
    kappa: float | None

    @classmethod
    def of(cls, sources: str, pairs: Sequence[tuple[str, str]]) -> "Kappa":
        """Return the kappa of pairs of categories."""
        found = kappa([(one in REFUSED, other in REFUSED) for one, other in pairs])
        return cls(sources, len(pairs), found if len(pairs) >= MIN_LABELS else None)

    def sentence(self) -> str:
        """Return `people and detector: kappa 0.81 (n = 60)`."""
        if self.kappa is not None:
            return f"{self.sources}: kappa {self.kappa:.2f} (n = {self.n})"
        return f"{self.sources}: not measured here (n = {self.n}; it needs {MIN_LABELS} answers that both labelled)"


def queue(
    export: Mapping[str, Any], labels: Sequence[Mapping[str, Any]], size: int, person: str | None
) -> tuple[list[Shown], int]:
    """Return the answers of the sample that are left to label, shuffled, and the number of those that have a label.

    The sample is of all answers with a text, and the same for everybody. Answers that `person` labelled are left out;
    without a name, those that anybody labelled. Answers about which rules and embedding differ come first.
    """
    texts = {question["question_key"]: question["text"] for question in export["questions"]}
    answers, disputed = {}, set()
    for call in export["executions"]:
        text = (call.get("output") or {}).get("response") or ""
        if call.get("id") is not None and call.get("category") is not None and text.strip():
            answers[call["id"]] = Shown(call["id"], texts.get(call["question_key"], call["question_key"]), text)
            if call.get("disputed"):
                disputed.add(call["id"])
    done = {one["answer_id"] for one in people(labels) if person in (None, one.get("actor"))}
    chosen = sample(export["job_id"], answers, size)
    left = order(export["job_id"], person or "", [answer for answer in chosen if answer not in done], disputed)
    return [answers[answer] for answer in left], len(chosen) - len(left)


def people(labels: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the labels that people gave."""
    return [label for label in labels if label["source"] == "human"]


def kappas(export: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]) -> list[Kappa]:
    """Return the kappa of people and detector, of judge and people, and of the two people with most answers in common.

    `labels` are in the order in which they were given: of each source the newest of an answer counts.
    """
    human = {label["answer_id"]: label["category"] for label in people(labels)}
    judge = {label["answer_id"]: label["category"] for label in labels if label["source"] == "judge"}
    detected = {
        call["id"]: call["detected_category"]
        for call in export["executions"]
        if call.get("id") is not None and call.get("detected_category") is not None
    }
    found = [Kappa.of("people and detector", _both(human, detected))]
    if judge:
        found.append(Kappa.of("judge and people", _both(judge, human)))
    of_person: dict[str, dict[int, str]] = {}
    for label in people(labels):
        of_person.setdefault(str(label.get("actor")), {})[label["answer_id"]] = label["category"]
    shared = {names: _both(*(of_person[name] for name in names)) for names in combinations(sorted(of_person), 2)}
    if shared:
        names = max(shared, key=lambda pair: len(shared[pair]))
        found.append(Kappa.of(" and ".join(names), shared[names]))
    return found


def _both(one: Mapping[int, str], other: Mapping[int, str]) -> list[tuple[str, str]]:
    return [(one[answer], other[answer]) for answer in sorted(one.keys() & other.keys())]
