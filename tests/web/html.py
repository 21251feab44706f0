"""What a page contains, for tests: elements with their attributes, and the text in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, inside=[e.tag for e in self._open])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def read(page: str) -> list[Element]:
    """Every element of the page in order; `text` holds the text below it, `inside` the tags around it."""
    reader = _Reader()
    reader.feed(page)
    return reader.elements


def text(page: str) -> str:
    """All text of a page with single spaces."""
    return " ".join(" ".join(e.text for e in read(page) if e.tag in ("html", "title")).split())


def value_of(page: str, name: str) -> str | None:
    """The value of the input with this name."""
    return next((e.attributes.get("value", "") for e in read(page)
                 if e.tag == "input" and e.attributes.get("name") == name), None)
