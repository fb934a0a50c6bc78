"""Writes the measured parts of docs/comparison.md. `python -m tests.comparison_page` writes the detector's table."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from runner_core.refusals.detector import STAGES, Measured, measurements

PAGE = Path(__file__).parent.parent / "docs/comparison.md"


def part(name: str) -> str:
    """Return what stands between the marks of a part."""
    return _split(name)[1]


def write(name: str, lines: Iterable[str]) -> None:
    """Put these lines between the marks of a part."""
    before, _, after = _split(name)
    PAGE.write_text(before + "\n".join(lines) + "\n" + after)


def detector() -> Iterator[str]:
    """A row for each set and language: how well the rules find refusals, and how well rules or embedding do."""
    rows = {(row.stage, row.set, row.language): row for row in measurements()}
    rules, both = STAGES
    yield "| set | language | answers | withheld | rules: precision | recall | rules or embedding: precision | recall |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for stage, number, language in sorted(rows):
        if stage == rules:
            row = rows[stage, number, language]
            shown = (*_shares(row), *_shares(rows[both, number, language]))
            yield f"| {number} | {language} | {row.n} | {row.withheld} | {' | '.join(shown)} |"


def _shares(row: Measured) -> tuple[str, str]:
    """Return precision and recall, as shown; a share of nothing is a dash."""
    precision, recall = (f"{row.right / of:.2f}" if of else "-" for of in (row.found, row.withheld))
    return precision, recall


def _split(name: str) -> tuple[str, str, str]:
    """Return the page before a part, the part, and the page behind it; each mark stays with its side."""
    page = PAGE.read_text()
    start = page.index("-->\n", page.index(f"<!-- {name}: ")) + len("-->\n")
    end = page.index(f"<!-- /{name} -->", start)
    return page[:start], page[start:end], page[end:]


if __name__ == "__main__":
    write("detector", detector())
