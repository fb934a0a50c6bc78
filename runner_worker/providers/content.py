"""Reads the content of an answer: text, typed parts, thoughts. Pure functions."""

import re
from dataclasses import dataclass, field
from typing import Any

from runner_worker.providers.failures import TryFailed
from runner_worker.providers.text import clean

OTHER_PARTS_KEPT = 16
LONGEST_PART_NAME = 64
TEXT_PARTS = ("text", "output_text")
THOUGHT_PARTS = ("thinking", "reasoning", "reasoning_content", "redacted_thinking")
TAG = re.compile(r"<(/?)think>", re.IGNORECASE)
CLOSING = re.compile(r"</think>", re.IGNORECASE)


@dataclass(slots=True)
class Content:
    """The content of an answer. `refusal`: the provider's words of a refusal; `other_parts`: types that are no text."""

    text: str = ""
    thoughts: list[str] = field(default_factory=list)
    refusal: str = ""
    other_parts: list[str] = field(default_factory=list)

    def think(self, thought: Any) -> None:
        """Add thoughts."""
        if isinstance(thought, str) and thought.strip():
            self.thoughts.append(thought.strip())

    def split(self) -> None:
        """Move thoughts at the beginning of the text to the thoughts. An unclosed block leaves no text.

        Some templates write the first tag into the prompt, so a text may begin with thoughts without it.
        """
        text, at = self.text, 0
        if "<" not in text:
            return
        first = TAG.search(text)
        if first and first[1]:
            self.think(text[: first.start()])
            at = first.end()
        while (tag := TAG.search(text, at)) and not tag[1] and not text[at : tag.start()].strip():
            closing = CLOSING.search(text, tag.end())
            self.think(text[tag.end() : closing.start() if closing else None])
            at = closing.end() if closing else len(text)
        if at:
            self.text = text[at:].lstrip()

    def cleaned(self) -> tuple[str, str, bool]:
        """Return the text and the thoughts as PostgreSQL can store them, and whether a character was replaced."""
        text, replaced = clean(self.text)
        thoughts, also = clean("\n\n".join(self.thoughts))
        return text, thoughts, replaced or also


def content_of(content: Any) -> Content:
    """Read `content`: null, a text, or a list of typed parts. Raises TryFailed `malformed_answer`."""
    if isinstance(content, str | None):
        return Content(content or "")
    if not isinstance(content, list):
        raise TryFailed("malformed_answer", note=": its content is neither text nor a list", http_status=200)
    found = Content()
    texts: list[str] = []
    refusals: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(kind := part.get("type"), str):
            if kind == "refusal" and isinstance(part.get("refusal"), str):
                refusals.append(part["refusal"])
            else:
                texts.append(_part(found, kind, part))
        else:
            raise TryFailed("malformed_answer", note=": a part of its content has no type", http_status=200)
    found.text, found.refusal = "".join(texts), "".join(refusals)
    return found


def _part(found: Content, kind: str, part: dict[str, Any]) -> str:
    """Return the text of a part, or put away what else it holds."""
    if kind in TEXT_PARTS:
        text = part.get("text")
        if not isinstance(text, str):
            raise TryFailed("malformed_answer", note=": a text part has no text", http_status=200)
        return text
    if kind in THOUGHT_PARTS:
        found.think(_inner_text(part))
    else:
        name = clean(kind)[0][:LONGEST_PART_NAME]
        if name not in found.other_parts and len(found.other_parts) < OTHER_PARTS_KEPT:
            found.other_parts.append(name)
    return ""


def _inner_text(part: dict[str, Any], depth: int = 3) -> str:
    """Return the text of a part of thoughts, which may hold parts itself."""
    for name in ("thinking", "reasoning", "text", "content", "summary"):
        value = part.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and depth:
            inner = (p if isinstance(p, str) else _inner_text(p, depth - 1) for p in value if isinstance(p, str | dict))
            return "".join(inner)
    return ""
