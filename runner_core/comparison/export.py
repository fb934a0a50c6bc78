"""The export of a job's calls, `compare.json`: the one document from which everything of a comparison is computed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner_core.call_objects import question_of, result
from runner_core.comparison.conditions import conditions
from runner_core.comparison.words import count
from runner_core.refusals import RULES, Spoken, categorise, language_of
from runner_core.refusals.scored import DETECTOR_ID, disputed, stored_score, text_key, with_score
from runner_core.refusals.text import read_of
from runner_core.served_changes import served_changes

Row = Mapping[str, Any]
JUDGED = (
    *("category", "category_source", "detected_category", "judge_category", "human_categories"),
    *("disputed", "evidence", "language", "words"),
)
JUDGED_SOURCES = ("rules", "embedding")  # of categories that a judge's label may take the place of
MEASURED = ("kappa", "n", "silent")  # of the judge whose labels count
Scores = Mapping[bytes, Any]  # stored results of sentence embeddings, by text_key


def export(
    job: Row,
    rows: Sequence[Row],
    labels: Iterable[Row] = (),
    units: Iterable[Row] = (),
    scores: Scores | None = None,
    judge: str | None = None,
    measured: Row | None = None,
) -> dict[str, Any]:
    """Return the document of a job.

    `job` is a row of the statement analyses.job; `rows` are the planned calls as reads.rows or analyses.calls has them,
    in any order; `labels` the newest label of each person and judge (labels.newest); `units` the rows of
    analyses.units; `scores` the stored results of sentence embeddings by `text_key`, None where the rules alone give
    the categories; `judge` the id of the judge whose labels count, None where a judge's category only stands beside the
    others: then that of the judge that labelled last. `measured` is why this judge counts, as `trust.Measured.as_json`
    has it; the document has it as `judge`, only where a judge counts. No I/O.
    """
    questions = job["questions"]
    places = {question["id"]: number for number, question in enumerate(questions)}
    texts = {question["id"]: question["text"] for question in questions}
    ordered = sorted(rows, key=lambda r: (places[r["question_id"]], r["model_id"], r["region"], r["run_no"]))
    said: defaultdict[int, list[Row]] = defaultdict(list)
    shown_judge = judge
    for label in sorted(labels, key=lambda one: one["id"], reverse=True):
        said[label["answer_id"]].append(label)
        if label["source"] == "judge" and shown_judge is None:
            shown_judge = _judge_of(label)
    fixed = job["analysis"] or {}
    return {
        "job_id": job["id"],
        "job_version": job["version"],
        "label_id": job["label_id"],
        "status": job["status"],
        "cross_region_status": job["cross_status"],
        "created_at": job["created_at"],
        "questions": [{"id": question_of(q["id"]), "question_key": q["id"], "text": q["text"]} for q in questions],
        "regions": sorted(job["plan"]),
        "models": _models(job["plan"]),
        "runs": job["runs"],
        "controls": sorted(fixed.get("controls", ())),
        "detector": (RULES if scores is None else DETECTOR_ID) + (f"+{judge}" if judge else ""),
        **({"judge": {name: measured[name] for name in MEASURED}} if judge and measured else {}),
        "facts": {key: list(fixed["facts"][key]) for key in sorted(fixed.get("facts", ()))},
        "conditions": conditions(ordered, units),
        "served_model_changes": [change.as_json() for change in served_changes(ordered)],
        "executions": [
            _execution(row, texts[row["question_id"]], said[row["id"]], scores or {}, judge, shown_judge)
            for row in ordered
        ],
    }


def _models(plan: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    ids = sorted({model for models in plan.values() for model in models})
    return [{"id": model, "regions": sorted(region for region in plan if model in plan[region])} for model in ids]


def _judge_of(label: Row) -> str:
    """Return the id of the judge that gave a label."""
    return str(label["actor"]).rpartition(" ")[2]


def _execution(
    row: Row, question: str, labels: Sequence[Row], scores: Scores, judge: str | None, shown_judge: str | None
) -> dict[str, Any]:
    """Return a call as the API lists it, with what its answer is. A call without an answer has nulls there."""
    judged: dict[str, Any] = dict.fromkeys(JUDGED)
    output = row["output"]
    if row["status"] == "completed" and output and output.get("response") is not None:
        judged |= _judged(question, output, labels, scores, judge, shown_judge)
    return result(row) | {"run_no": row["run_no"]} | judged | {"seed": (row["sent"] or {}).get("seed")}


def _judged(
    question: str,
    output: Mapping[str, Any],
    labels: Sequence[Row],
    scores: Scores,
    judge: str | None,
    shown_judge: str | None,
) -> dict[str, Any]:
    """Return the category of an answer with who gave it, its language and its number of words.

    `labels` of the answer, the newest first. The newest label of a person counts, then what the protocol says, then the
    label of the judge whose labels count. `detected_category` is what the detector says: it stays beside a label, so
    that the two can be compared; so do `judge_category`, that of one judge in the whole export, and `human_categories`
    with one label of each person, the newest first. `disputed`: whether rules and embedding differ; None where only one
    of them says something.
    """
    text = output["response"]
    finish_reason, source, filtered = (output.get(name) for name in ("finish_reason", "refusal_source", "filter"))
    by_rules = categorise(Spoken(question, text, finish_reason, source, filtered))
    stored = scores.get(text_key(text)) if scores else None
    score = None if stored is None else stored_score(stored)
    found = with_score(text, by_rules, score)
    by_people = [label for label in labels if label["source"] == "human"]
    by_judge = next((one for one in labels if one["source"] == "judge" and _judge_of(one) == shown_judge), None)
    counting = [by_judge] if by_judge and judge and found.source in JUDGED_SOURCES else []
    label = next(iter(by_people or counting), None)
    return {
        "category": label["category"] if label else found.category,
        "category_source": label["source"] if label else found.source,
        "detected_category": found.category,
        "judge_category": by_judge["category"] if by_judge else None,
        "human_categories": [one["category"] for one in by_people],
        "disputed": disputed(by_rules, score),
        "evidence": found.evidence,
        "language": language_of(text) if text.strip() else None,
        "words": count(read_of(text)),
    }
