"""What is done to many users at once: the question, how far it is, what came of it; and adding many."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date
from urllib.parse import parse_qsl

from flask import Flask, Response, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from wtforms import StringField, TextAreaField

from app.accounts.actor import Right
from app.actions.many import Job, Many
from app.config.model import User
from app.config.schema import FieldSpec
from app.control import listing, preview, roster, snapshot, views
from app.control.errors import Refused
from app.control.listing import Query
from app.control.records import Row, UserView
from app.messages import Problem
from app.rules.many import MOST_ADDED
from app.web.context import actor, the_config, the_system
from app.web.field_check import checked, checked_at
from app.web.forms import stripped
from app.web.language import in_words
from app.web.limit_choice import LimitsForm, add_choices, limit
from app.web.limit_forms import USER_FIELDS, NewUserForm
from app.web.pages.users import hints_of
from app.web.pages.users_list import ACTIONS, TITLES, blueprint, came_from

#: What happens, for the question.
EXPLAINED = {
    "enable": lazy_gettext("Their links work again, except where the access has expired or the limit blocks."),
    "disable": lazy_gettext("Their connections end, and their links stop working until you enable them again."),
    "add_traffic": lazy_gettext("Each one's limit is raised by so much, for good. Users without a limit stay as they "
                                "are."),
    "limit": lazy_gettext("Each of them gets this limit. The default is that of their plan, or of the settings."),
    "reset": lazy_gettext("What they used counts from zero again, so that a slowdown or a block at the limit is "
                          "lifted."),
    "extend": lazy_gettext("The last day of access moves by so many days; where it is over, it counts from today. "
                           "Users whose access does not end stay as they are."),
    "engine": lazy_gettext("Their connections end once, and Telegram connects again by itself."),
    "tag": lazy_gettext("Each of them gets this tag."), "untag": lazy_gettext("The tag is taken from each who has it."),
    "delete": lazy_gettext("Their links stop working at once. For 30 days they can be restored, with the same links.")}

#: How many of those chosen the question names.
NAMED = 20
#: Characters that make a spreadsheet read a cell as a formula (OWASP, "CSV injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class ManyForm(NewUserForm):
    """Names, one a line, and what all of them get."""

    names = TextAreaField(lazy_gettext("Names"))

    @property
    def lines(self) -> list[str]:
        """The names, without empty lines."""
        return [line.strip() for line in (self.names.data or "").splitlines() if line.strip()]


class LimitForm(LimitsForm):
    """The limit that many get; its default is another one for who has a plan."""

    ways = {"value": limit("value", lazy_gettext("No limit"))}
    value = StringField(lazy_gettext("Traffic limit"), filters=[stripped])

    def default_of(self, key: str) -> str:
        """The label of the default."""
        return str(gettext("Default"))


add_choices(LimitForm)
LIMIT = next(spec for spec in USER_FIELDS if spec.key == "limit_gb")


def init_app(app: Flask) -> None:
    """Makes the jobs of this panel's system."""
    app.extensions["many"] = Many(app.extensions["system"])


@blueprint.post("/bulk/ask")
def many() -> ResponseReturnValue:
    """Asks whether to do it, with what has to be typed for it; an export is simply sent."""
    what, back = request.form.get("what", ""), request.form.get("back", "")
    chosen = _chosen()
    if not chosen or what not in ACTIONS:
        flash(in_words(Problem("many.nobody")) if not chosen else gettext("Choose what to do with them."), "error")
        return redirect(came_from(back))
    if what == "export":
        return _export(chosen)
    return _question(what, chosen, LimitForm())


@blueprint.post("/bulk/do")
def do_many() -> ResponseReturnValue:
    """Begins it, and leads to the page that tells how far it is."""
    what, chosen, form = request.form.get("what", ""), _chosen(), LimitForm()
    try:
        if "all" in request.form and request.form["all"] != str(len(chosen)):
            raise Refused("many.number_changed", now=len(chosen), before=request.form["all"])
        if not chosen:
            raise Refused("many.nobody")
        if what == "limit" and (unclear := form.unclear()):
            return _question(what, chosen, form, unclear["value"]), 422
        said = form.said() if what == "limit" else {}
        job = _many().begin(actor(), [row.id for row in chosen], what, said.get("value", request.form.get("value", "")))
    except Refused as refusal:
        if what not in TITLES:
            abort(400)
        return _question(what, chosen, form, in_words(refusal)), 422
    return redirect(url_for("users.job", job_id=job.id, back=_back()))


@blueprint.get("/bulk/job/<job_id>")
def job(job_id: str) -> ResponseReturnValue:
    """How far it is, and at the end what came of it: who could not be changed, and why."""
    found = _many().job(job_id)
    return render_template("users/job.html", **_told(found)) if found else _forgotten()


@blueprint.get("/bulk/job/<job_id>/state")
def job_state(job_id: str) -> ResponseReturnValue:
    """The part of it that changes by itself."""
    found = _many().job(job_id)
    return render_template("users/_job.html", **_told(found)) if found else _forgotten()


@blueprint.post("/bulk/job/<job_id>/undo")
def undo(job_id: str) -> ResponseReturnValue:
    """Takes it back, for whoever was not changed again since."""
    try:
        begun = _many().begin_undo(actor(), _many().job(job_id) or abort(404))
    except Refused as refusal:
        flash(in_words(refusal), "error")
        return redirect(url_for("users.job", job_id=job_id))
    return redirect(url_for("users.job", job_id=begun.id, back=_back()))


@blueprint.route("/import", methods=["GET", "POST"])
def add_many() -> ResponseReturnValue:
    """Adds a user for each line, all of them or none."""
    form = ManyForm()
    form.offer(the_config())
    fields = {spec.key: text for spec in _common_fields() if (text := form.typed()[spec.key])}
    if form.is_submitted() and form.is_clear(lambda: preview.try_user(the_system(), {"name": "x", **fields})):
        try:
            begun = _many().begin_adding(actor(), form.lines, fields)
        except Refused as refusal:
            form.show(refusal)
        else:
            return redirect(url_for("users.job", job_id=begun.id))
    page = render_template("users/add_many.html", form=form, **_fields())
    return page, 422 if form.is_submitted() else 200


@blueprint.post("/import/check/<key>")
def check_common(key: str) -> str:
    """A field that all who are added are given, or their names, as it is left. Saves nothing."""
    if key == "names":
        return _names()
    return checked(ManyForm(), key, lambda tried: preview.try_user(the_system(), tried), _fields())


def _names() -> str:
    actor().require(Right.USERS)
    form = ManyForm()
    if form.lines:
        try:
            preview.try_names(the_system(), form.lines)
        except Refused as refusal:
            form.show(refusal)
    return render_template("users/_names.html", **{**_fields(), "form": form, "typing": True}).strip()


@blueprint.get("/bulk/job/<job_id>/links")
def links(job_id: str) -> ResponseReturnValue:
    """The links of those who were added, a line each: the name, and the link."""
    found = _many().job(job_id)
    if not found:
        return _forgotten()
    views_of = {user.id: user for user in views.users(the_system())}
    lines = [f"{views_of[each].name}\t{views_of[each].tme_link}" for each in found.changed if each in views_of]
    return Response("\n".join(lines) + "\n", mimetype="text/plain")


def _forgotten() -> ResponseReturnValue:
    flash(gettext("What was done there is no longer known here; the events tell of it."), "error")
    return redirect(url_for("users.index"))


def _many() -> Many:
    found: Many = current_app.extensions["many"]
    return found


def _common_fields() -> list[FieldSpec]:
    """What may be given to all who are added together."""
    return [spec for spec in USER_FIELDS if spec.key in ("limit_gb", "expires", "expires_after_days", "tags")]


def _fields() -> dict[str, object]:
    return {**checked_at("users.check_common", _common_fields(), hints_of(the_config())), "most": MOST_ADDED}


def _chosen() -> list[Row]:
    """Those ticked, or all who match what the list showed."""
    rows = roster.rows(snapshot.take(the_system()))
    if "all" in request.form:
        return listing.matching(rows, Query.of(dict(parse_qsl(request.form.get("back", "")))))
    wanted = set(request.form.getlist("id"))
    return [row for row in rows if row.id in wanted]


def _question(what: str, chosen: list[Row], form: LimitForm, problem: str = "") -> str:
    everybody = "all" in request.form
    form["value"].errors = [problem] if problem else []
    return render_template(
        "users/many.html", form=form, specs={"value": LIMIT}, what=what, title=TITLES[what], explained=EXPLAINED[what],
        chosen=chosen, named=chosen[:NAMED], all=len(chosen) if everybody else 0,
        ids=[] if everybody else [row.id for row in chosen],
        back=request.form.get("back", ""), list=came_from(request.form.get("back", "")), problem=problem,
        value=request.form.get("value", ""), engines=list(the_system().engines),
        tags=sorted({tag for row in chosen for tag in row.user.tags}, key=str.casefold))


def _back() -> str | None:
    return request.form.get("back") or None


def _told(found: Job) -> dict[str, object]:
    done, of = _many().progress(found)
    back = request.args.get("back", "")
    return {"job": found, "title": TITLES[found.what], "done": done, "of": of, "back": back,
            "list": came_from(back), "titles": TITLES}


def _export(chosen: list[Row]) -> Response:
    """A file for a spreadsheet: UTF-8 with a mark that Excel needs, and no cell that it would take for a formula."""
    ids = {row.id for row in chosen}
    users = {view.id: view for view in views.users(the_system()) if view.id in ids}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("id", "name", "state", "enabled", "used_bytes", "limit_gb", "total_bytes", "last_seen",
                     "expires_at", "engine", "domain", "port", "tags", "note", "created_at", "link"))
    writer.writerows(_safe(_line(row, users[row.id])) for row in chosen if row.id in users)
    answer = Response("\ufeff" + text.getvalue(), mimetype="text/csv")
    answer.headers.set("Content-Disposition", "attachment", filename=f"users-{date.today():%Y-%m-%d}.csv")
    return answer


def _line(row: Row, view: UserView) -> tuple[object, ...]:
    user: User = row.user
    return (row.id, row.name, row.condition, user.enabled, row.used, f"{row.limit_gb:g}", row.down + row.up,
            view.last_seen or "", view.expires_at or "", row.engine, view.domain, view.link_port, ", ".join(user.tags),
            user.note, view.created_at, view.tme_link)


def _safe(cells: Iterable[object]) -> list[object]:
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell for cell in cells]


