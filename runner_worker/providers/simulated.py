"""The words of the sandbox's varying answers: drawn by the call's seed, with chances of the model and the question.

A comparison of regions can be tried on such answers: two regions of one model draw from the same chances, and `shift`
gives one of them others.
"""

import random
from functools import lru_cache
from hashlib import blake2b

WORDS = (  # noqa: SIM905 - sixty words are easier to read so
    "account answer archive border bridge capital century change city claim coast council crisis culture date debate"
    " decree demand district document economy election empire event evidence famine figure folk freedom government"
    " harbour history island judge king labour language law leader letter market memory minister movement museum nation"
    " number office opinion order party peace people period poet power protest question record reform"
).split()
SHAPE = 0.8  # of the Beta distribution: most words are either usual or rare
MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def drawn_text(model_id: str, question_id: str, seed: int | None, vary: float, shift: float) -> str:
    """Return those of the 60 words that the seed draws; word i is in if SplitMix64(seed, i) is below its chance.

    `vary`, 0 to 1: how much the texts vary. At 0 every chance is 0 or 1, so that each text is the same; at a half the
    chances are those of model and question; at 1 every chance is a half. `shift`, 0 to 1: the share of the words that
    have other chances than without it. Without a seed each text is another one.
    """
    if seed is None:
        seed = random.getrandbits(31)
    chances = word_chances(model_id, question_id, float(vary), float(shift))
    words = [word for i, (word, chance) in enumerate(zip(WORDS, chances, strict=True)) if uniform(seed, i) < chance]
    return " ".join(words or WORDS[:1])


@lru_cache(maxsize=4096)
def word_chances(model_id: str, question_id: str, vary: float, shift: float) -> tuple[float, ...]:
    """Return the chance of each word."""
    usual = _beta(f"{model_id}\0{question_id}")
    other = _beta(f"{model_id}\0{question_id}\0shift")
    order = _seed(f"{model_id}\0{question_id}\0shift\0order")
    shifted = set(sorted(range(len(WORDS)), key=lambda i: uniform(order, i))[: round(shift * len(WORDS))])
    drawn = [other[i] if i in shifted else usual[i] for i in range(len(WORDS))]
    return tuple(_mixed(chance, vary) for chance in drawn)


def _mixed(chance: float, vary: float) -> float:
    """Return the chance mixed with 0 or 1, whichever is nearer, below a `vary` of a half; above, mixed with a half."""
    if vary <= 0.5:
        return round(chance) + 2 * vary * (chance - round(chance))
    return chance + (2 * vary - 1) * (0.5 - chance)


def uniform(seed: int, i: int) -> float:
    """Return number `i`, from 0, of the generator SplitMix64 with `seed`, in [0, 1).

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
    """
    z = (seed + (i + 1) * GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return ((z ^ (z >> 31)) >> 11) / 2**53


def _seed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _beta(text: str) -> list[float]:
    """Return a number for each word, distributed as Beta(SHAPE, SHAPE): Jöhnk's method (1964)."""
    drawn: list[float] = []
    seed, i = _seed(text), 0
    while len(drawn) < len(WORDS):
        x, y = uniform(seed, i) ** (1 / SHAPE), uniform(seed, i + 1) ** (1 / SHAPE)
        i += 2
        if 0 < x + y <= 1:
            drawn.append(x / (x + y))
    return drawn
