"""docs/recompute.py, for tests: as a module, and as the analysis that it would expect."""

import importlib.util
import json
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

SCRIPT = Path(__file__).parent.parent / "docs/recompute.py"


def loaded() -> ModuleType:
    """Return the script as a module."""
    name = "docs_recompute"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPT)
        assert spec
        assert spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look there for their module
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def expected(export: dict[str, Any]) -> dict[str, Any]:
    """Return what the script recomputes of an export, as JSON would carry it."""
    script = loaded()
    return listed(json.loads(json.dumps(script.recompute(script.read_job(export)), default=fraction)))


def analysis(export: dict[str, Any]) -> dict[str, Any]:
    """Return an analysis in which every number is right, by the script itself."""
    return {"state": "ready", "method": "beacon-compare/1+refusal-rules/2", **expected(export)}


def fraction(value: Any) -> float:
    assert isinstance(value, Fraction)
    return float(value)


def listed(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the tree with the lists that an analysis has."""
    entries = ("pairs", "questions")
    models = [{**one, **{name: list(one[name].values()) for name in entries}} for one in tree["models"].values()]
    return {**tree, "models": models}
