"""One word for one thing: on the pages, in the terminal and in the API's description of itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_core.vocabulary import WORDS

ROOT = Path(__file__).parents[2]
NEVER = {other: word for word, found in WORDS.items() for other in found.never}
# What programs send and read keeps its name: an address, a member, a setting, an event, a link's target or its id.
NAMES = re.compile(
    r"`[^`]*`|<code>.*?</code>|/[\w/{}<>:-]+|\b\w+_\w+\b|\b[A-Z][A-Z_]+\b|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|"
    r"(?:href|id|name|value|class|action)=\"[^\"]*\"",
    re.DOTALL,
)


def shown() -> Iterator[tuple[str, str]]:
    """Yield each text that people read, with its place."""
    for path in sorted((ROOT / "runner_api").rglob("templates/*.html")):
        yield path.name, NAMES.sub(" ", path.read_text())
    for path in sorted((ROOT / "runner_api").rglob("*.js")):
        if "vendor" not in path.parts:
            yield path.name, " ".join(re.findall(r"[\"`]([^\"`\n]* [^\"`\n]*)[\"`]", path.read_text()))
    for folder in ("runner_cli", "runner_api/views", "runner_api/portal", "runner_api/contract", "runner_api/routes"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for text in texts(path):
                yield f"{folder}/{path.name}", NAMES.sub(" ", text)


def texts(path: Path) -> Iterator[str]:
    """Yield the sentences of a module: texts with a space, among them the docstrings that the API shows."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


@pytest.mark.parametrize("other", sorted(NEVER))
def test_another_word_is_not_shown(other: str) -> None:
    places = [
        place for place, text in shown() if re.search(rf"\b{re.escape(other)}(?:s|ed|es)?\b", text, re.IGNORECASE)
    ]
    assert not places, f"say {NEVER[other]!r}"


def test_the_glossary_has_the_same_sentences() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\*.*? \| (.+) \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    written = {(name, means) for names, means in rows for name in re.split(r"\*\*, \*\*", names)}
    assert {(name, word.means) for name, word in WORDS.items()} <= written


def test_every_text_is_looked_at() -> None:
    places = {place for place, _ in shown()}
    assert {"job.html", "docs_body.html", "submit.js", "runner_cli/show.py", "runner_api/views/timeline.py"} <= places
