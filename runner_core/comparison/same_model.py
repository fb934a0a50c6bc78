"""Whether a pair of regions shows signs of different models: wording of the pair under equal conditions. Section 8."""

from collections.abc import Sequence

from runner_core.comparison import power
from runner_core.comparison.cached import perhaps_cached
from runner_core.comparison.circumstances import unseeded, why_not_asked
from runner_core.comparison.material import MAX_RUNS, Material
from runner_core.comparison.tested import TEXT, ModelTested, Pair
from runner_core.comparison.verdict import listed

EXCESS_PLACE = power.EXCESSES.index(0.022)  # the excess of which a sentence tells the power
NOT_TESTED = "No question has two answers of one region and one of the other."
DIFFER = (
    "The endpoints do not give the same distribution of answers: other weights, quantisation, decoding, an undisclosed "
    "prompt or a cache."
)
NO_SIGN = "No sign of different models"
PERHAPS_CACHED = (
    "{} repeated {} word for word in every question. The texts may come from a cache, so that all runs count as one."
)
OWN_DRAWS = "No seed was sent in {}: the provider drew its own random numbers, and no two regions can share a seed."


def same_model(material: Material, tested: ModelTested, pair: Pair, *, differs: bool) -> dict[str, str]:
    """Return {"state": not_asked, not_tested, differ or no_sign, "text"}.

    `differs`: whether the pair differs in wording.
    """
    if why := why_not_asked(material, tested.model.id, pair):
        return {"state": "not_asked", "text": why}
    if cached := [region for region in perhaps_cached(material, tested) if region in pair]:
        themselves = "itself" if len(cached) == 1 else "themselves"
        return {"state": "not_asked", "text": PERHAPS_CACHED.format(listed(cached), themselves)}
    if tested.pairs[pair][TEXT] is None:
        return {"state": "not_tested", "text": NOT_TESTED}
    state, text = ("differ", DIFFER) if differs else ("no_sign", f"{NO_SIGN}{_power(tested, pair)}.")
    if regions := unseeded(material, tested.model.id, pair):
        text = f"{text} {OWN_DRAWS.format(listed(regions))}"
    return {"state": state, "text": text}


def _power(tested: ModelTested, pair: Sequence[str]) -> str:
    """Return what a pair of so many answers would have found, as a half-sentence; "" where the table has no row.

    Of the answers as many runs count as enough questions have on both sides.
    """
    least = [min(len(tested.cells[key][region].worded) for region in pair) for key in tested.main]
    for runs in range(MAX_RUNS, 1, -1):
        row = power.wording(sum(n >= runs for n in least), runs, len(pair))
        if row:
            found = round(100 * row.model[EXCESS_PLACE])
            return (
                f"; with {row.runs} runs of {power.WORDING_QUESTIONS} questions an excess of "
                f"{power.EXCESSES[EXCESS_PLACE]} would be found in {found} %, before any correction"
            )
    return ""
