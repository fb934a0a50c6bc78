"""The page of the comparison's method, with everything that a stranger needs to compute a comparison again.

The files are docs/ in a checkout, and runner_core/docs in an installed package.
"""

import json
import re
import tomllib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from runner_core import refusals
from runner_core.comparison import METHOD
from runner_core.refusals import RULES
from runner_core.refusals.detector import STAGES, by_language
from runner_core.refusals.judge import PROMPT, PROMPT_SHA256
from runner_core.refusals.scored import DETECTOR_ID

METHOD_ID = f"{METHOD}+{RULES}"
# Analysts compute by one of these: the second is that of analysts with the extra `semantic`.
METHOD_IDS = (METHOD_ID, f"{METHOD}+{DETECTOR_ID}")
# Where a judge's labels count, its id is behind one of these. Provider and model are in its last digits.
_JUDGE = re.compile(rf"\+refusal-judge/{PROMPT_SHA256}\.[0-9a-f]{{8}}\Z")
PAGE, EXAMPLE, SCRIPT = "comparison.md", "comparison-example.json", "recompute.py"

# A line of the worked example's table: the place of a number in the analysis, and the number.
_VALUE = re.compile(r"^\| `((?:models\[\w|design\.)[^`]+)` \| ([^|]+) \|$", re.MULTILINE)


def method_file(name: str) -> Traversable:
    """Return PAGE, EXAMPLE or SCRIPT."""
    installed = resources.files("runner_core").joinpath("docs", name)
    return installed if installed.is_file() else Path(__file__).parent.parent / "docs" / name


def knows(method_id: str) -> bool:
    """Return whether this release computes by a method."""
    return _JUDGE.sub("", method_id) in METHOD_IDS


@cache
def method() -> dict[str, Any]:
    """Return the method as one JSON object: its ids, its page, the worked example with its values, and the lists.

    Where a judge's labels count, the judge's id is behind one of the ids: `judge` has the prompt that every judge gets.
    `example` is an export, and `example_values` has numbers of its analysis by their place, as the page writes them
    (1/3 is exact). `detector` has for each stage the measured precision and recall by language.
    """
    page = method_file(PAGE).read_text("utf-8")
    return {
        "ids": list(METHOD_IDS),
        "method": METHOD,
        "rules": RULES,
        "page": page,
        "example": json.loads(method_file(EXAMPLE).read_text("utf-8")),
        "example_values": {place.replace("\\|", "|"): value.strip() for place, value in _VALUE.findall(page)},
        "patterns": _listed("rules.toml"),
        "filters": _listed("filters.toml"),
        "judge": {"prompt": PROMPT, "sha256": PROMPT_SHA256},
        "detector": {stage: by_language(stage) for stage in STAGES},
    }


def _listed(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(refusals).joinpath(name).read_text("utf-8"))
