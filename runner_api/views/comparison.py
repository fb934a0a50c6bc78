"""Arrange the answers of the regions to one question: equal texts once, each compared with the base region's text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_api.views import Row, diff, grid

WHOLLY_WITHHELD = ("content_filter", "hard_refusal")


@dataclass(frozen=True)
class Text:
    """One text that a region gave in one run or in several. `rows` are its calls, by run.

    `judged` is the first call as the export has it, with its category. `pieces` are the text's words and the base
    text's: the same, added or removed.
    """

    rows: list[Row]
    judged: Mapping[str, Any]
    text: str
    pieces: list[diff.Piece] | None
    remark: str = ""

    @property
    def row(self) -> Row:
        """The first call."""
        return self.rows[0]

    @property
    def runs(self) -> list[int]:
        """The runs that gave this text."""
        return [row["run_no"] for row in self.rows]

    @property
    def words(self) -> int | None:
        """The number of words, None for a script without spaces between words."""
        return len(self.text.split()) if diff.has_words(self.text) else None

    @property
    def anchor(self) -> str | None:
        """The anchor of the first call on the execution's page."""
        return grid.Call(self.row, False).anchor


@dataclass(frozen=True)
class Side:
    """One region's texts, the commonest first. No texts: the model is not planned in this region."""

    region: str
    texts: list[Text]


def response(row: Row | None) -> str | None:
    """Return the text of an answer, None without one. The text of an answer that a filter blocked is empty."""
    output: dict[str, Any] = (row["output"] if row else None) or {}
    return output.get("response")


def sides(
    regions: Sequence[str], rows: Iterable[Row], judged: Iterable[Mapping[str, Any]], base: str | None
) -> list[Side]:
    """Return what each region answered to one question of one model. `judged` are the same calls of the export."""
    categories = {(call["region"], call["run_no"]): call for call in judged}
    found: dict[str, list[list[Row]]] = {region: [] for region in regions}
    for row in sorted(rows, key=lambda row: int(row["run_no"])):
        groups = found[row["region"]]
        same = next((group for group in groups if _key(group[0], categories) == _key(row, categories)), None)
        if same:
            same.append(row)
        else:
            groups.append([row])
    for groups in found.values():
        groups.sort(key=lambda group: (not response(group[0]), -len(group)))
    groups = found.get(base or "", [])
    against = response(groups[0][0]) if groups else None
    withheld = bool(groups) and _is_withheld(groups[0][0], categories)
    return [
        Side(
            region,
            [
                # Comparing two texts may take long: only the commonest text of each region is compared.
                _text(group, categories, against if region != base and number == 0 else None, withheld)
                for number, group in enumerate(groups)
            ],
        )
        for region, groups in found.items()
    ]


def _key(row: Row, categories: Mapping[tuple[str, int], Mapping[str, Any]]) -> tuple[Any, ...]:
    category = categories[row["region"], row["run_no"]]["category"]
    return row["status"], response(row), category, (row["error_detail"] or {}).get("code")


def _is_withheld(row: Row, categories: Mapping[tuple[str, int], Mapping[str, Any]]) -> bool:
    return categories[row["region"], row["run_no"]]["category"] in WHOLLY_WITHHELD


def _text(
    rows: list[Row], categories: Mapping[tuple[str, int], Mapping[str, Any]], against: str | None, base_withheld: bool
) -> Text:
    text = response(rows[0]) or ""
    judged = categories[rows[0]["region"], rows[0]["run_no"]]
    if not text or not against:
        return Text(rows, judged, text, None)
    if text == against:
        return Text(rows, judged, text, None, "The texts are equal.")
    if base_withheld or _is_withheld(rows[0], categories):
        return Text(rows, judged, text, None)  # a refusal and an answer have no words to compare
    if not (diff.has_words(text) and diff.has_words(against)):
        return Text(rows, judged, text, None, "No spaces between the words: not compared word by word.")
    pieces = diff.compare(against, text)
    return Text(rows, judged, text, pieces, "" if pieces else "Too long to compare word by word.")
