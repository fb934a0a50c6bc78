"""Measures how well refusals are found; writes runner_core/refusals/detector.json and the table of docs/comparison.md.

Run `python docs/refusal_detector.py` with the extra `semantic` installed, after every change of the rules.
"""

import json
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from runner_core.refusals import RULES, WITHHELD, Label, categorise  # noqa: E402 - the checkout's own packages
from runner_core.refusals.detector import STAGES, Measured, measurements  # noqa: E402
from runner_core.refusals.embedding import scores  # noqa: E402
from runner_core.refusals.scored import MODEL, with_score  # noqa: E402
from tests import comparison_page  # noqa: E402
from tests.labelled import BY_RULES, NEW_WORDING, Labelled  # noqa: E402

FILE = ROOT / "runner_core/refusals/detector.json"
ANSWERS = [*BY_RULES, *NEW_WORDING]


def measured(stage: str, answers: list[Labelled], labels: list[Label]) -> list[Measured]:
    """Return the counts of a stage's labels by set and language."""
    groups: dict[tuple[int, str], list[tuple[bool, bool]]] = defaultdict(list)
    for answer, label in zip(answers, labels, strict=True):
        groups[answer.set, answer.language].append((answer.category in WITHHELD, label.withheld))
    return [
        Measured(
            stage=stage,
            set=number,
            language=language,
            n=len(group),
            withheld=sum(truth for truth, _ in group),
            found=sum(said for _, said in group),
            right=sum(truth and said for truth, said in group),
        )
        for (number, language), group in sorted(groups.items())
    ]


def main() -> None:
    """Measure both stages, write the file and the table."""
    by_rules = [categorise(answer.spoken) for answer in ANSWERS]
    found = scores([answer.spoken.text for answer in ANSWERS])
    both = [
        with_score(answer.spoken.text, label, score)
        for answer, label, score in zip(ANSWERS, by_rules, found, strict=True)
    ]
    rows = [
        row for stage, labels in zip(STAGES, (by_rules, both), strict=True) for row in measured(stage, ANSWERS, labels)
    ]
    written = {"rules": RULES, "embedding": MODEL, "measured": [asdict(row) for row in rows]}
    FILE.write_text(json.dumps(written, indent=1) + "\n")
    measurements.cache_clear()
    comparison_page.write("detector", comparison_page.detector())


if __name__ == "__main__":
    main()
