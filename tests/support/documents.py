"""The documentation as its reader has it: the pages of each language, their headings, links and code blocks."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Each is complete: docs/ru has the second.
LANGUAGES = ("en", "ru")
#: For developers, in English only.
ENGLISH_ONLY = ("docs/architecture.md",)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^][]|\[[^]]*])*]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """One page, in one language."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """The text without its code blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """Language and text of each code block."""
        return [(found["language"], found["text"]) for found in _FENCE.finditer(self.text)]

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        found = re.findall(r"^(#{1,6}) (.+)$", self.prose, re.MULTILINE)
        return [(len(hashes), text.strip()) for hashes, text in found]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link can name in it, made from the headings as GitHub does it."""
        seen: Counter[str] = Counter()
        names = set()
        for _, heading in self.headings:
            text = _LINK.sub(lambda link: link[0].split("](")[0].lstrip("!["), heading).lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            names.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
        return names

    @cached_property
    def links(self) -> list[str]:
        """Their targets, those of pictures too."""
        return [link["target"] for link in _LINK.finditer(self.prose)]


@cache
def pages(language: str) -> dict[str, Page]:
    """The pages of "en" or "ru", by the name that the page has in English: "README.md", "docs/settings.md"."""
    if language == "en":
        found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        return {name: Page(path) for path in found if (name := str(path.relative_to(ROOT))) not in ENGLISH_ONLY}
    folder = ROOT / "docs" / language
    return {("README.md" if path.name == "README.md" else f"docs/{path.name}"): Page(path)
            for path in sorted(folder.glob("*.md"))}


def named(word: str, text: str) -> bool:
    """Whether the text has it as a whole word."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None
