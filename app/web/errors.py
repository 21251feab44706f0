"""Error pages with a sentence that helps; and a refusal is an answer, never a 500."""

from __future__ import annotations

import logging
from typing import cast

from flask import Flask, Response, current_app, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app.accounts.actor import NotAllowed
from app.control.errors import Refused, Unfinished
from app.messages.english.fields import FIELDS
from app.web.context import current_admin
from app.web.formats import field_label
from app.web.hosts import is_by_token
from app.web.language import gettext, in_words
from app.web.security import LARGEST_FORM, USUAL_FORM

log = logging.getLogger(__name__)

#: What the panel itself puts into its forms. Of what was typed, so many fields of so many characters are shown again.
NOT_TYPED, MOST, LONGEST = frozenset(("shown", "back", "from", "sure", "id", "all", "what")), 40, 2000

def told(code: int) -> tuple[str, str] | None:
    """Title and sentence of an error, for whoever is logged in; None for a rare one."""
    return {
        400: (gettext("That did not work"),
              gettext("The browser sent something that the panel does not understand. Nothing was changed.")),
        403: (gettext("Not allowed"), gettext("You are logged in, but you may not see or change this.")),
        404: (gettext("Not found"), gettext("This page does not exist, or the user it belonged to has been deleted.")),
        405: (gettext("Not allowed"),
              gettext("This address answers only to the buttons of the panel. Nothing was changed."))
        if request.method != "POST" else (
            gettext("This form is from before an update"),
            gettext("The panel has no such form any more: the page was probably opened before an update. Nothing was "
                    "changed. Open the page anew.")),
        413: (gettext("Too much text"),
              gettext("A form may have %(usual)s kB, that of the settings %(largest)s kB, and this one had more. "
                      "Nothing was changed. The command line takes longer lists (settings set).",
                      usual=USUAL_FORM // 1024, largest=LARGEST_FORM // 1024)),
        500: (gettext("Internal error"),
              gettext("The panel met an unexpected error. The proxies are not affected: they run on their own. "
                      "The panel's log has the details.")),
    }.get(code)


def told_strangers(code: int) -> tuple[str, str] | None:
    """The same for everybody else: neither what runs here nor what it does."""
    return {
        404: (gettext("Not found"), gettext("There is nothing at this address.")),
        405: (gettext("Not allowed"), gettext("This address does not answer that.")),
        413: (gettext("Too large"),
              gettext("A form may have %(usual)s kB, and this one had more.", usual=USUAL_FORM // 1024)),
        500: (gettext("Internal error"), gettext("Please try again later.")),
    }.get(code)


def init_app(app: Flask) -> None:
    """Registers the handlers."""
    app.register_error_handler(CSRFError, form_expired)
    app.register_error_handler(Refused, refused)
    app.register_error_handler(NotAllowed, not_allowed)
    app.register_error_handler(Unfinished, unfinished)
    app.register_error_handler(HTTPException, http_error)


def form_expired(error: CSRFError) -> tuple[str, int]:
    """A form without a valid token: most often one that was open when the session ended."""
    sentence = gettext("This form was opened before you logged in, or your session has ended. Nothing was changed. "
                       "Go back, reload the page and send it again.")
    return render_template("error.html", code=400, title=gettext("This form has expired"), sentence=sentence,
                           typed=_typed()), 400


def refused(error: Refused) -> tuple[str, int]:
    """A refusal that no form could show beside a field: an unreadable configuration, for example.

    Its words hold paths, names and values: a stranger is told none of them.
    """
    if current_admin() is None:
        log.warning("refused to somebody who is not logged in: %s", error)
        sentence = gettext("This does not work at the moment. The log on the server says why.")
        return render_template("error.html", code=503, title=gettext("Not now"), sentence=sentence), 503
    title = gettext("The panel can't do that now")
    return render_template("error.html", code=409, title=title, sentence=in_words(error)), 409


def not_allowed(error: NotAllowed) -> tuple[str, int]:
    """An action that this admin has no right to, whichever page asked for it."""
    return render_template("error.html", code=403, title=gettext("Not allowed"), sentence=in_words(error)), 403


def unfinished(error: Unfinished) -> tuple[str, int]:
    """What was asked is saved; sending the form again would ask for it twice."""
    title = gettext("Saved, but not yet applied")
    return render_template("error.html", code=409, title=title, sentence=in_words(error)), 409


def http_error(error: HTTPException) -> tuple[str, int] | HTTPException | Response:
    """Every other HTTP error, in the panel's look; redirects pass through."""
    if error.code is None or error.code < 400:
        return error
    if is_by_token():
        return cast("Response", current_app.extensions["api_error"](error))
    found, usual = (told(error.code), gettext("The panel could not answer this request.")) if current_admin() else \
        (told_strangers(error.code), gettext("This request could not be answered."))
    title, sentence = found or (error.name, usual)
    typed = _typed() if error.code in (404, 405) else []
    return render_template("error.html", code=error.code, title=title, sentence=sentence, typed=typed), error.code


def _label(name: str) -> str:
    """What a form calls this field; its name where that is not known."""
    known = next((whose for whose in ("user", "plan", "setting") if f"{whose}.{name}" in FIELDS), "")
    return field_label(known, name) if known else name


def _typed() -> list[tuple[str, str]]:
    """What was typed into a form that is not taken, by its names: no page that a browser goes back to has it any more.
    What nobody may read over a shoulder is left out."""
    if request.method != "POST":
        return []
    return [(_label(name), text) for name, text in request.form.items(multi=True)
            if text.strip() and len(text) <= LONGEST and name not in NOT_TYPED
            and not any(part in name for part in ("password", "secret", "token", "code", "link", "socks"))][:MOST]
