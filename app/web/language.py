"""The language of a page: what somebody chose here, else the first of the browser's that there is, else English."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from babel import Locale
from babel.support import NullTranslations
from flask import Blueprint, Flask, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel, Domain, get_locale
from jinja2 import pass_context
from jinja2.runtime import Context

from app.lib.problem import Language
from app.messages import Coded, Problem
from app.messages.isolated import isolated, values_of
from app.messages.translations import LANGUAGES, as_here, for_people, translations

blueprint = Blueprint("language", __name__)

#: It says nothing of what runs here, and is read before anybody has logged in.
COOKIE, DAYS = "language", 365


ENGLISH = Locale("en")


class _Catalogues(Domain):
    """The texts that app/messages has read, in place of compiled files."""

    def get_translations(self) -> NullTranslations:
        """Those of the language of this request."""
        return translations(code())

    def gettext(self, string: str, /, **variables: object) -> str:
        """As gettext() below."""
        return gettext(string, **variables)

    def ngettext(self, singular: str, plural: str, num: int, /, **variables: object) -> str:
        """As ngettext() below."""
        return ngettext(singular, plural, num, **variables)


class _Babel(Babel):
    domain_instance = _Catalogues()


def init_app(app: Flask) -> None:
    """Makes `_()`, `ngettext()` and `{% trans %}` work in templates, and gettext() of flask_babel in handlers."""
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    _Babel(app, locale_selector=chosen)
    app.add_template_filter(isolated)
    texts = app.jinja_env.globals
    texts["gettext"], texts["ngettext"] = _filling(texts["gettext"]), _filling(texts["ngettext"])
    app.jinja_env.globals["languages"] = LANGUAGES
    app.add_template_global(get_locale)
    app.add_template_global(here)


def chosen() -> str:
    """The language of this request."""
    wanted = request.cookies.get(COOKIE, "")
    return wanted if wanted in LANGUAGES else request.accept_languages.best_match(LANGUAGES, "en")


def locale() -> Locale:
    """The language of what is answered now; English where nobody is answered."""
    return get_locale() or ENGLISH


def code() -> str:
    """The same as a code, such as "ru"."""
    return str(locale())


def gettext(text: str, /, **values: object) -> str:
    """A text in this language, with its %(values)s."""
    return fill(translations(code()).gettext(text), **values)


def fill(text: str, /, **values: object) -> str:
    """A text of this language with its %(values)s; none of them moves the words beside it."""
    return text % values_of(values) if values else text


def ngettext(one: str, many: str, number: int, /, **values: object) -> str:
    """The text that belongs to a number, which it calls %(num)s."""
    return fill(translations(code()).ngettext(one, many, number), **{"num": number, **values})


def number(text: str) -> str:
    """A number that is written as in English, as it is written here: "1.5", in Russian "1,5"."""
    return as_here(text, code())


def spoken() -> Language:
    """What makes sentences of problems, in the language of what is answered now."""
    return for_people(code())


@blueprint.post("/language")
def choose() -> ResponseReturnValue:
    """Remembers the language in this browser, and goes back to the page that asked."""
    wanted, back = request.form.get("language", ""), request.form.get("back", "")
    answer = redirect(back if is_inside(back) else url_for("dashboard.index"))
    if wanted in LANGUAGES:
        answer.set_cookie(COOKIE, wanted, max_age=DAYS * 86400, path=request.script_root or "/",
                          secure=request.is_secure, httponly=True, samesite="Lax")
    return answer


def here() -> str:
    """The page that is shown, as an address to come back to."""
    shown = request.method == "GET" and request.endpoint
    return request.script_root + (request.full_path.rstrip("?") if shown else "/")


def in_words(told: Problem | Coded | None, called: Callable[[str], str] = str) -> str:
    """A problem, or an exception that carries some, in the language of what is answered now; "" for none.

    called: see Language.sentence().
    """
    problems = told.problems if isinstance(told, Coded) else filter(None, [told])
    return "\n".join(spoken().sentence(problem, called) for problem in problems)


def is_inside(target: str) -> bool:
    """Is this a path of this panel, whatever the address bar was made to say?"""
    # Browsers read "\" as "/", and drop tabs and line ends: "/\evil" and "/\t/evil" would lead out.
    plain = target.isprintable() and "\\" not in target
    return plain and target.startswith(f"{request.script_root}/") and not target.startswith("//")


def _filling(fill: Any) -> Callable[..., str]:
    """What fills the texts of templates, with each of their values isolated."""
    @pass_context
    def filled(context: Context, /, *texts: object, **values: object) -> str:
        said: str = fill(context, *texts, **values_of(values))
        return said

    return filled
