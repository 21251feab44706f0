"""A problem is data; a language makes a sentence of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lib.problem import Language, Problem
from app.messages import ENGLISH, sentence, text
from app.messages.refused import Refused

ENGLISH_OF_A_TEST = Language(
    templates={"days": "{count} {count:day|days}", "any": "{names:or}", "all": "{names:and}", "row": "{names}",
               "lines": "{problems:lines}", "inner": "because {reason}", "quoted": "{name!r}, {number:,}",
               "setting": "see {@sni_mode own}", "more": "Said.{more:sentences}"},
    plural=lambda number: 0 if number == 1 else 1, last={"and": "and", "or": "or"})

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner, max_size=3), max_leaves=5)
PROBLEMS = st.builds(text, st.text()) | st.builds(
    Problem, st.sampled_from(sorted(ENGLISH.templates.keys() - {"text"})),
                     st.dictionaries(st.sampled_from(["name", "count", "reason", "problem", "most"]), JSON))


@pytest.mark.parametrize("code, params, expected", [
    ("days", {"count": 1}, "1 day"), ("days", {"count": 0}, "0 days"),
    ("any", {"names": ["a"]}, "a"), ("any", {"names": ["a", "b", "c"]}, "a, b or c"),
    ("all", {"names": ("a", "b")}, "a and b"), ("row", {"names": ["a", "b", "c"]}, "a, b, c"),
    ("inner", {"reason": Problem("days", {"count": 2})}, "because 2 days"),
    ("lines", {"problems": [Problem("days", {"count": 1}), Problem("days", {"count": 2})]}, "1 day\n2 days"),
    ("quoted", {"name": "Ann", "number": 1000}, "'Ann', 1,000"),
    ("more", {"more": []}, "Said."), ("more", {"more": [text("Again.")]}, "Said. text Again."),
])
def test_a_template_says_numbers_lists_and_problems_in_problems(code, params, expected):
    assert ENGLISH_OF_A_TEST.sentence(Problem(code, params)) == expected


def test_a_page_calls_a_setting_as_its_label_does():
    problem = Problem("setting")
    assert ENGLISH_OF_A_TEST.sentence(problem) == "see sni_mode own"
    assert ENGLISH_OF_A_TEST.sentence(problem, lambda name: f'"{name.title()}"') == 'see "Sni_Mode Own"'


@given(PROBLEMS)
def test_any_problem_that_was_kept_says_the_same(problem):
    assert sentence(Problem.loaded(problem.code, problem.kept())) == sentence(problem)
    assert problem.code == "text" or json.loads(problem.kept()) == problem.document()["params"]


@given(st.text(), JSON)
def test_whatever_a_ledger_holds_is_shown_somehow(code, params):
    assert isinstance(sentence(Problem.loaded(code, json.dumps(params))), str)
    assert sentence(Problem.loaded("text", "what an older version wrote")) == "what an older version wrote"


def test_a_refusal_tells_each_problem_and_the_input_that_it_is_about():
    with pytest.raises(Refused) as refused:
        Refused.raise_all([Refused("admin.bad_name", "name", name="x", reason=text("odd")), Refused("login.busy")])
    assert [(part.code, part.field) for part in refused.value.parts] == [("admin.bad_name", "name"), ("login.busy", "")]
    assert str(refused.value).splitlines() == [str(part) for part in refused.value.parts]
    Refused.raise_all([])


@pytest.mark.parametrize(("name", "quoted"), [
    ("علی\u200cرضا", "'علی\u200cرضا'"), ("👩\u200d🚀", "'👩\u200d🚀'"), ("O'Brien", '"O\'Brien"'),
    ("a\u202eb\x1b", r"'a\u202eb\x1b'"), (r"\u200c", r"'\\u200c'"), ("\\\u200c", "'\\\\\u200c'")])
def test_a_quoted_name_keeps_its_joined_letters_and_no_other_odd_one(name: str, quoted: str) -> None:
    assert f"there is a user {quoted} already" in sentence(Problem("user.exists", {"name": name, "id": "1"}))
