"""The comparison of a job's regions as the API gives it: its shape, and how the commands read it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from runner_cli.client import Api, Refused, job_path
from runner_cli.shapes import NUMBER, Shape, fits
from runner_core.regions import PROMPT_ID

PAUSE_SECONDS = 0.5  # between two looks at a comparison that is being computed
MAYBE = (int, float, type(None))  # a number, or null where there is none

_RATE: Shape = {
    **dict.fromkeys(("rate", "low", "high"), MAYBE),
    **dict.fromkeys(("answers", "errors", "non_answers"), int),
    "range": list,
    "categories": dict,
}
_TEST: Shape = {"p": MAYBE, "p_holm": MAYBE, "differs": bool}
_PAIR: Shape = {
    "a": str,
    "b": str,
    "withheld_differs": bool,
    "wording_differs": bool,
    "same_model": {"state": str, "text": str},
    **dict.fromkeys(("points", "low", "high", "floor", "excess", "low_excess", "high_excess"), MAYBE),
    **dict.fromkeys(("p_withheld_holm", "p_wording_holm"), MAYBE),
}
_QUESTION: Shape = {
    "question_id": str,
    "verdict": str,
    "control": bool,
    "happened": str,
    **dict.fromkeys(("p_withheld_bh", "p_wording_bh"), MAYBE),
}


def _each(shape: Shape) -> Shape:
    """Return the shape of an object whose members, by any name, all have this shape."""
    return lambda value: isinstance(value, dict) and all(fits(item, shape) for item in value.values())


def _range(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(v is None or isinstance(v, NUMBER) for v in value)


def _rates(value: object) -> bool:
    return fits(value, _each(_RATE)) and isinstance(value, dict) and all(_range(v["range"]) for v in value.values())


_MODEL: Shape = {
    "model_id": str,
    "regions": [str],
    "withheld": lambda value: fits(value, _TEST) and fits(value, {"regions": _rates, "controls": _rates}),
    "wording": lambda value: (
        fits(value, _TEST)
        and fits(value, {**dict.fromkeys(("floor", "across", "excess"), MAYBE), "controls": {"excess": MAYBE}})
    ),
    "facts": lambda value: fits(value, _TEST) and fits(value, {"regions": _each({"share": MAYBE})}),
    "pairs": [_PAIR],
    "questions": [_QUESTION],
}
_READY: Shape = {
    "job_id": str,
    "method": str,
    "input_sha256": str,
    "job_version": int,
    "label_id?": int,
    "headline": {"kind": str, "text": str},
    "cautions": [{"code": str, "text": str, "models": [str]}],
    "design": {
        "regions": [str],
        "controls": [str],
        **dict.fromkeys(("models", "questions", "runs", "planned", "usable", "errors", "non_answers"), int),
    },
    "labels": {
        "detector": lambda value: (
            fits(value, _each((dict, type(None))))
            and all(m is None or fits(m, {"n": int, "precision": MAYBE, "recall": MAYBE}) for m in value.values())
        ),
        "kappa": MAYBE,
        "doubly_labelled": int,
        "kappas?": {name: {"kappa": MAYBE, "n": int} for name in ("detector", "judge", "person")},
        "counting_judge?": {"kappa": MAYBE, **dict.fromkeys(("n", "silent", "answers_here", "silent_here"), int)},
        **dict.fromkeys(("filter", "provider", "rules", "embedding", "judge", "human"), int),
    },
    "models": [_MODEL],
}


def is_analysis(value: object) -> bool:
    """Return whether it is a comparison as GET /jobs/{id}/analysis gives it, ready or not."""
    if not fits(value, {"state": str}) or not isinstance(value, dict):
        return False
    return fits(value, _READY) if value["state"] == "ready" else fits(value, {"text": str})


@dataclass(frozen=True)
class Analysed:
    """The API's document about the comparison of one job."""

    document: dict[str, Any]

    @classmethod
    def none(cls, text: str) -> Self:
        """Return what stands for the comparison of an API that has none."""
        return cls({"state": "off", "text": text})

    @property
    def state(self) -> str:
        return str(self.document["state"])

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"

    @property
    def sentence(self) -> str:
        """The headline, or why there is no comparison."""
        return str(self.document["headline"]["text"] if self.is_ready else self.document["text"])

    @property
    def cautions(self) -> list[str]:
        """The cautions with the models that they concern, unless they concern all models."""
        if not self.is_ready:
            return []
        models = [model["model_id"] for model in self.document["models"]]
        return [
            caution["text"] + ("" if caution["models"] == models else f" ({', '.join(caution['models'])})")
            for caution in self.document["cautions"]
        ]

    def verdicts(self, models: Iterable[str]) -> dict[tuple[str, str], str]:
        """Return the verdict of each model and question; the question is "" for a prompt job's, as in its rows."""
        chosen = set(models)
        return {
            (model["model_id"], "" if question["question_id"] == PROMPT_ID else question["question_id"]): (
                question["verdict"]
            )
            for model in (self.document["models"] if self.is_ready else ())
            if model["model_id"] in chosen
            for question in model["questions"]
        }

    def summary(self) -> dict[str, Any]:
        """Return the state, the headline and the cautions for a document; without a comparison, the reason."""
        ready = self.is_ready
        return {
            "state": self.state,
            "text": "" if ready else self.sentence,
            "headline": self.document["headline"] if ready else None,
            "cautions": self.document["cautions"] if ready else [],
        }


def read_analysis(api: Api, job_id: str) -> Analysed:
    """Read the comparison of a job. Raises Unreachable, Refused."""
    return Analysed(api.job(job_id, is_analysis, "/analysis"))


def if_known(api: Api, job_id: str) -> Analysed:
    """Read the comparison of a job that exists; an API of an earlier release has none. Raises Unreachable, Refused."""
    try:
        return read_analysis(api, job_id)
    except Refused as refused:
        if refused.status != 404:
            raise
        return Analysed.none("This API does not compare regions: it is of an earlier release.")


def wait_for_analysis(api: Api, job_id: str, seconds: float | None) -> Analysed:
    """Read the comparison of an ended job as soon as it is computed, or what there is after so many seconds.

    Without `seconds` it waits for as long as it takes. Raises Unreachable, Refused.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    etag, found = "", None
    while True:
        headers = {"If-None-Match": etag} if etag else None
        reply = api.ask("GET", job_path(job_id, "/analysis"), is_analysis, headers=headers)
        if reply.status != 304:
            etag, found = reply.etag, Analysed(reply.body)
        if found is None:
            continue
        if found.state != "pending" or (deadline is not None and time.monotonic() + PAUSE_SECONDS > deadline):
            return found
        time.sleep(PAUSE_SECONDS)
