"""Compute a job's comparison again, here, from its export, and find where the API's document says otherwise.

The one module of the command line that needs numpy: no other command waits for its import.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from runner_cli.exits import CommandError
from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from runner_core.method_page import METHOD_IDS, knows


class NotComparable(CommandError):
    """The comparison can't be computed here."""


def differences(export: Mapping[str, Any], analysis: Mapping[str, Any]) -> list[str]:
    """Return a line for each place where the comparison says otherwise than what is computed here; none: all equal.

    Numbers are equal to the last digit: the method's sums do not depend on the machine. Members that the API adds
    beside the result are not compared. Raises NotComparable for another method, or an export that contradicts itself.
    """
    if not knows(analysis["method"]):
        raise NotComparable(
            f"the comparison is by {analysis['method']}, and this release computes {' or '.join(METHOD_IDS)}: "
            "check it with the release that computed it"
        )
    try:
        result = json.loads(json.dumps(analyse(Material.of_export(export))))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise NotComparable(f"the export can't be computed from: {type(error).__name__}: {error}") from None
    return [line for name in result for line in _apart(name, analysis.get(name), result[name])]


def _apart(place: str, said: Any, computed: Any) -> Iterator[str]:
    if isinstance(said, dict) and isinstance(computed, dict):
        for name in sorted(said.keys() | computed.keys()):
            if name not in said or name not in computed:
                yield f"{place}.{name}: only {'computed here' if name in computed else 'in the comparison'}"
            else:
                yield from _apart(f"{place}.{name}", said[name], computed[name])
    elif isinstance(said, list) and isinstance(computed, list) and len(said) == len(computed):
        for number, (one, other) in enumerate(zip(said, computed, strict=True)):
            yield from _apart(f"{place}[{number}]", one, other)
    elif said != computed or isinstance(said, bool) != isinstance(computed, bool):
        yield f"{place}: {json.dumps(said)} in the comparison, {json.dumps(computed)} computed here"
