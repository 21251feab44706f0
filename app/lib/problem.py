"""What is wrong, as data: a code and its values. A language is a table of templates that turns it into a sentence."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

#: The code of what comes as a text from elsewhere: the operating system, a program, an older version's ledger.
TEXT = "text"

#: Of what was typed, which these values are, so many characters are repeated.
_TYPED, _REPEATED = frozenset(("typed", "ref")), 80


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, in no language.

    code: which it is, such as "user.unknown"; the key of its template.
    params: the template's values, as JSON has them; a Problem, or a list of them, may be one.
    field: the input that it is about, or "".
    """

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)
    field: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", {name: _plain(value) for name, value in self.params.items()})

    def __hash__(self) -> int:
        return hash((self.code, self.field))

    def about(self, name: str) -> Problem:
        """The same about this input."""
        return Problem(self.code, self.params, name)

    def without(self, code: str) -> Problem:
        """The same without the problems of this code in its lists."""
        return Problem(self.code, {
            name: [each for each in value if not (isinstance(each, Problem) and each.code == code)]
            if isinstance(value, list) else value for name, value in self.params.items()}, self.field)

    def document(self) -> dict[str, Any]:
        """As JSON: code and params, whose problems are such documents again."""
        return {"code": self.code, "params": {name: _document(value) for name, value in self.params.items()}}

    def kept(self) -> str:
        """What is kept beside the code: the params as JSON; of a text, that text."""
        return str(self.params.get("text", "")) if self.code == TEXT else \
            json.dumps(self.document()["params"], sort_keys=True)

    @classmethod
    def loaded(cls, code: str, text: str) -> Problem:
        """What was kept as this code and text. One that was kept as a sentence, or is damaged, is that text."""
        try:
            params = json.loads(text) if code != TEXT else None
        except (ValueError, RecursionError):
            params = None
        return cls(code, _revived(params)) if isinstance(params, dict) else cls(TEXT, {"text": text})


def together(problems: Iterable[Problem]) -> Problem | None:
    """Several as one, in their order; None for none."""
    problems = list(problems)
    return Problem("several", {"problems": problems}) if len(problems) > 1 else next(iter(problems), None)


def text(words: object) -> Problem:
    """A text from elsewhere, which is shown as it is."""
    return Problem(TEXT, {"text": str(words)})


class Coded(Exception):
    """An exception that carries problems, one at least; str() is their sentences, a line each."""

    language: ClassVar[Language]

    def __init__(self, code: str | Problem, field: str = "", /, **params: object):
        if isinstance(code, str):
            for name in _TYPED & params.keys():
                if isinstance(typed := params[name], str) and len(typed) > _REPEATED:
                    params[name] = typed[:_REPEATED - 1] + "…"
            # A text in place of a code comes from elsewhere.
            code = Problem(code, params, field) if code in self.language.templates else text(code).about(field)
        super().__init__(code)
        self.problems: tuple[Problem, ...] = (code,)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """One that carries all of these."""
        first, *rest = problems
        one = cls(first)
        one.problems = (first, *rest)
        return one

    @property
    def problem(self) -> Problem:
        """The first one."""
        return self.problems[0]

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def params(self) -> Mapping[str, Any]:
        return self.problem.params

    @property
    def field(self) -> str:
        """The input that the first problem is about, or ""."""
        return self.problem.field

    def __str__(self) -> str:
        return "\n".join(map(self.language.sentence, self.problems))


#: How a time is written in a terminal, a log and a document for programs, by what follows it in a template.
_DATES = {"moment": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "end": "%Y-%m-%d %H:%M"}


def _sortable(iso: str, kind: str) -> str:
    try:
        return datetime.fromisoformat(iso).strftime(_DATES[kind])
    except ValueError:
        return iso  # older versions kept some as they were shown


@dataclass(frozen=True)
class Language:
    """Templates by code.

    A template is text with {name}, written as str.format has it ({name!r}, {count:,}), and beside that:

    {count:day|days}        the form that belongs to the number; plural: which one that is
    {names}                 a list with commas; {names:or}, {names:and} with a word before its last;
                            {names:lines} a line each, {names:clauses} with semicolons, {names:words} with spaces,
                            {names:sentences} with a space before each
    {reason:bare}           without a full stop at its end
    {at:moment}, {at:day}   a time, which is ISO 8601 in the params; {at:end} of something that ends then
    {@sni_mode}             something with a name in the configuration file, which a page may call otherwise
    """

    templates: Mapping[str, str]
    plural: Callable[[float], int]
    last: Mapping[str, str]
    number: Callable[[str], str] = str  # how a number is written that format() has written as in English
    value: Callable[[str], str] = str  # how a text stands in a sentence
    date: Callable[[str, str], str] = _sortable  # how a time is written; the second: see above

    def sentence(self, problem: Problem, called: Callable[[str], str] = str) -> str:
        """A problem in this language; a code without a template is shown as it is, with its params.

        called: what a setting or a choice ("sni_mode", "sni_mode own") is called where this is read.
        """
        if problem.code not in self.templates:
            return f"{problem.code} {problem.kept()}"
        return _Formatter(self, called).vformat(self.templates[problem.code], (), problem.params)


#: What repr() writes for a letter, one at a time; how letters join is no such odd letter: Persian names have it.
_ESCAPE = re.compile(r"\\(?:u200[cd]|.)")
_JOINERS = {r"\u200c": "\u200c", r"\u200d": "\u200d"}


class _Formatter(string.Formatter):
    def __init__(self, language: Language, called: Callable[[str], str]):
        self._language = language
        self._called = called

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if field_name.startswith("@"):
            return self._called(field_name[1:]), field_name
        # Whatever a ledger holds is shown somehow.
        return kwargs.get(field_name, f"{{{field_name}}}"), field_name

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if conversion == "r" and isinstance(value, str):
            return _ESCAPE.sub(lambda found: _JOINERS.get(found[0], found[0]), repr(value))
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Problem):
            value = self._language.sentence(value, self._called)
        if format_spec == "bare":
            words = self._list([self.format_field(each, "") for each in value], "lines") \
                if isinstance(value, list) else str(value)
            return self._language.value(words.strip().rstrip("."))
        if format_spec in _DATES:
            return self._language.date(str(value), format_spec)
        if "|" in format_spec:
            return format_spec.split("|")[self._language.plural(value) if isinstance(value, (int, float)) else -1]
        if isinstance(value, list):
            return self._list([self.format_field(each, "") for each in value], format_spec)
        try:
            written = str(format(value, format_spec))
            return self._language.number(written) if isinstance(value, (int, float)) else self._language.value(written)
        except (ValueError, TypeError):
            return str(value)

    def _list(self, words: list[str], last: str) -> str:
        if last == "sentences":
            return "".join(f" {word}" for word in words)
        if last in _BETWEEN:
            return _BETWEEN[last].join(words)
        if last not in self._language.last or len(words) < 2:
            return ", ".join(words)
        return f"{', '.join(words[:-1])} {self._language.last[last]} {words[-1]}"


#: What stands between the entries of a list that is no row of words.
_BETWEEN = {"lines": "\n", "clauses": "; ", "words": " "}


def params_of(template: str) -> set[str]:
    """The names of a template's values."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name and not name.startswith("@")}


def _plain(value: Any) -> Any:
    if isinstance(value, Coded):
        return value.problem if len(value.problems) == 1 else list(value.problems)
    if value is None or isinstance(value, (str, int, float, Problem)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    return str(value)


def _document(value: Any) -> Any:
    if isinstance(value, Problem):
        return value.document()
    return [_document(each) for each in value] if isinstance(value, list) else value


def _revived(value: Any) -> Any:
    if isinstance(value, list):
        return [_revived(each) for each in value]
    if isinstance(value, dict):
        inner = {name: _revived(each) for name, each in value.items()}
        if inner.keys() == {"code", "params"} and isinstance(inner["code"], str) and isinstance(inner["params"], dict):
            return Problem(inner["code"], inner["params"])
        return inner
    return value
