"""Error pages with a sentence that helps; and a refusal is an answer, never a 500."""

from __future__ import annotations

import logging

from flask import Flask, render_template
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app.accounts.actor import NotAllowed
from app.control.errors import Refused, Unfinished
from app.web.context import current_admin
from app.web.security import LARGEST_FORM, USUAL_FORM

log = logging.getLogger(__name__)

#: What whoever is logged in reads.
SENTENCES = {
    400: ("That did not work", ("The browser sent something that the panel does not understand. "
                                "Nothing was changed.")),
    403: ("Not allowed", "You are logged in, but you may not see or change this."),
    404: ("Not found", "This page does not exist, or the user it belonged to has been deleted."),
    405: ("Not allowed", "This address answers only to the buttons of the panel. Nothing was changed."),
    413: ("Too much text", (f"A form may have {USUAL_FORM // 1024} kB, that of the settings {LARGEST_FORM // 1024} kB, "
                            "and this one had more. Nothing was changed. The command line takes longer lists "
                            "(settings set).")),
    500: ("Internal error", ("The panel met an unexpected error. The proxies are not affected: "
                              "they run on their own. The panel's log has the details.")),
}
#: What everybody else reads: neither what runs here nor what it does.
STRANGERS = {
    404: ("Not found", "There is nothing at this address."),
    405: ("Not allowed", "This address does not answer that."),
    413: ("Too large", f"A form may have {USUAL_FORM // 1024} kB, and this one had more."),
    500: ("Internal error", "Please try again later."),
}


def init_app(app: Flask) -> None:
    """Registers the handlers."""
    app.register_error_handler(CSRFError, form_expired)
    app.register_error_handler(Refused, refused)
    app.register_error_handler(NotAllowed, not_allowed)
    app.register_error_handler(Unfinished, unfinished)
    app.register_error_handler(HTTPException, http_error)


def form_expired(error: CSRFError) -> tuple[str, int]:
    """A form without a valid token: most often one that was open when the session ended."""
    sentence = ("This form was opened before you logged in, or your session has ended. Nothing was changed. "
                "Go back, reload the page and send it again.")
    return render_template("error.html", code=400, title="This form has expired", sentence=sentence), 400


def refused(error: Refused) -> tuple[str, int]:
    """A refusal that no form could show beside a field: an unreadable configuration, for example.

    Its words hold paths, names and values: a stranger is told none of them.
    """
    if current_admin() is None:
        log.warning("refused to somebody who is not logged in: %s", error)
        return render_template("error.html", code=503, title="Not now", sentence="This does not work at the moment. "
                               "The log on the server says why."), 503
    title = "The panel can't do that now"
    return render_template("error.html", code=409, title=title, sentence=str(error)), 409


def not_allowed(error: NotAllowed) -> tuple[str, int]:
    """An action that this admin has no right to, whichever page asked for it."""
    return render_template("error.html", code=403, title=SENTENCES[403][0], sentence=str(error)), 403


def unfinished(error: Unfinished) -> tuple[str, int]:
    """What was asked is saved; sending the form again would ask for it twice."""
    title = "Saved, but not yet applied"
    return render_template("error.html", code=409, title=title, sentence=str(error)), 409


def http_error(error: HTTPException) -> tuple[str, int] | HTTPException:
    """Every other HTTP error, in the panel's look; redirects pass through."""
    if error.code is None or error.code < 400:
        return error
    known, usual = ((SENTENCES, "The panel could not answer this request.") if current_admin() else
                    (STRANGERS, "This request could not be answered."))
    title, sentence = known.get(error.code, (error.name, usual))
    return render_template("error.html", code=error.code, title=title, sentence=sentence), error.code
