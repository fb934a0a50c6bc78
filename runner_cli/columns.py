"""Text in a terminal's columns: measured in cells, because a Chinese character takes two of them."""

import re
from collections.abc import Sequence

from rich.cells import cell_len, chop_cells


def padded(text: str, cells: int) -> str:
    """`text` with spaces up to this many cells; a longer one stays whole."""
    return text + " " * (cells - cell_len(text))


def shortened(text: str, cells: int) -> str:
    """The beginning of `text` that fits, with an ellipsis where something is left out."""
    line = " ".join(text.split())
    return line if cell_len(line) <= cells else f"{next(iter(chop_cells(line, max(1, cells - 1))), '')}…"


def wrapped(text: str, cells: int, *, cut: bool = True) -> list[str]:
    """The lines of `text`, broken between words where they are longer than `cells`.

    A word that is longer itself is broken too; with cut=False it stays whole, so that it can be copied."""
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        if cell_len(line) <= cells:
            lines.append(line.rstrip())
            continue
        current = ""
        for word in re.split(r"[ \t]+", line.strip()):  # a no-break space keeps `12 s` together
            if current and cell_len(current) + 1 + cell_len(word) <= cells:
                current += f" {word}"
                continue
            pieces = (chop_cells(word, max(2, cells)) if cut else [word]) or [""]
            if current:
                lines.append(current)
            lines += pieces[:-1]
            current = pieces[-1]
        lines.append(current)
    return lines


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of equally many cells as lines, each column as wide as its widest cell."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(padded(*cell) for cell in zip(row, widths, strict=True)).rstrip() for row in rows]
