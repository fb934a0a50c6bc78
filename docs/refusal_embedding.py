"""Trains refusal-embedding/1 on tests/data/refusals.jsonl and writes runner_core/refusals/embedding.json.

Run `python docs/refusal_embedding.py` with the extra `semantic` installed; it takes 15 s. A sentence of a withheld
answer in which the rules find a refusal is one. A sentence of another answer is none, and so is another sentence of a
partial refusal. The logistic regression has a ridge penalty of 0.1 and weighs a refusal 1.5. It is solved by Newton's
method, whose optimum is the same on every machine; the weights are rounded to 1/10,000.
"""

import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from runner_core.refusals import RULES, WITHHELD, refuses  # noqa: E402 - the checkout's own packages, from its docs
from runner_core.refusals.embedding import sentences_of, vectors  # noqa: E402
from runner_core.refusals.scored import MODEL  # noqa: E402
from tests.labelled import BY_RULES  # noqa: E402

FILE = ROOT / "runner_core/refusals/embedding.json"
RIDGE = 0.1
REFUSAL_WEIGHT = 1.5  # fewer sentences are refusals


def examples() -> tuple[list[str], list[int]]:
    """Return the sentences to learn from, and for each of them 1 for a refusal and 0 for none."""
    said, refusals = [], []
    for answer in BY_RULES:
        for sentence in sentences_of(answer.spoken.text):
            found = refuses("", sentence, "stop")
            if answer.category not in WITHHELD:
                found = False
            elif not found and answer.category != "partial_refusal":
                continue  # a courtesy beside a hard refusal is neither
            said.append(sentence)
            refusals.append(int(found))
    return said, refusals


def trained(said: list[str], refusals: list[int]) -> tuple[list[int], int]:
    """Return the weights and the bias in 1/10,000."""
    wanted = np.array(refusals, dtype=float)
    inputs = np.c_[vectors(said), np.ones(len(said))]
    penalty = RIDGE * np.eye(inputs.shape[1])
    penalty[-1, -1] = 1e-6  # the bias is free
    costs = np.where(wanted > 0, REFUSAL_WEIGHT, 1.0)
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        found = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (costs * (found - wanted)) + penalty @ weights
        curvature = (inputs * (costs * found * (1 - found))[:, None]).T @ inputs + penalty
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if np.abs(step).max() < 1e-10:
            break
    rounded = [int(weight) for weight in np.rint(weights * 10_000)]
    return rounded[:-1], rounded[-1]


def main() -> None:
    """Train, and write the file."""
    said, refusals = examples()
    weights, bias = trained(said, refusals)
    written = {"model": MODEL, "rules": RULES, "sentences": len(said), "bias": bias, "weights": weights}
    FILE.write_text(json.dumps(written) + "\n")
    print(f"{FILE.name}: {len(said)} sentences, {sum(refusals)} of them refusals")


if __name__ == "__main__":
    main()
