"""Plans: the list of them, and one's form."""

from __future__ import annotations

import json

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from app.actions import plans as actions
from app.config.model import Plan
from app.control import plan_views, preview
from app.control.errors import Refused
from app.control.records import PlanView
from app.web.context import actor, the_config, the_system
from app.web.field_check import checked, checked_at
from app.web.formats import field_hint
from app.web.language import in_words
from app.web.limit_forms import PLAN_FIELDS, PlanForm

blueprint = Blueprint("plans", __name__, url_prefix="/plans")


@blueprint.get("")
def index() -> str:
    """Every plan, what it says, and how many have it."""
    return render_template("plans/index.html", plans=plan_views.every_plan(the_system()))


@blueprint.route("/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    """Adds a plan."""
    form = PlanForm()
    form.offer(the_config())
    typed = form.typed()
    if form.validate_on_submit() and form.is_clear(lambda: preview.try_plan(the_system(), typed)):
        try:
            plan = actions.add_plan(the_system(), actor(), typed.pop("name"), **typed)
        except Refused as refusal:
            form.show(refusal)
        else:
            flash(_("The plan %(name)s is added. Choose it for users on their pages.", name=plan.name))
            return redirect(url_for(".index"))
    page = render_template("plans/edit.html", form=form, **_fields())
    return page, 422 if form.is_submitted() else 200


@blueprint.route("/<plan_id>", methods=["GET", "POST"])
def edit(plan_id: str) -> ResponseReturnValue:
    """Changes what differs from what the page showed, for everybody who has the plan."""
    plan = _plan(plan_id)
    before = _declared(plan)
    form = PlanForm(data=before | {"shown": json.dumps(before)})
    form.offer(the_config())
    shown = form.were_shown(before)
    changes = {key: text for key, text in form.typed().items() if text != shown[key]}
    if form.validate_on_submit() and form.is_clear(lambda: preview.try_plan(the_system(), changes, plan.id)):
        try:
            if changes:
                plan = actions.change_plan(the_system(), actor(), plan.id, changes,
                                           lambda now: form.refuse_stale(changes, _written(now)))
        except Refused as refusal:
            form.show(refusal)
        else:
            flash(ngettext("%(name)s is saved, for %(num)d user.", "%(name)s is saved, for %(num)d users.",
                           plan.users, name=plan.name) if changes else _("Nothing was changed."))
            return redirect(url_for(".index"))
    page = render_template("plans/edit.html", form=form, plan=plan, **_fields(plan))
    return page, 422 if form.is_submitted() else 200


@blueprint.post("/new/check/<key>")
def check_new(key: str) -> str:
    """A field of a new plan, as it is left. Saves nothing."""
    return checked(PlanForm(), key, lambda tried: preview.try_plan(the_system(), tried), _fields())


@blueprint.post("/<plan_id>/check/<key>")
def check(plan_id: str, key: str) -> str:
    """A field of this plan, as it is left. Saves nothing."""
    plan = _plan(plan_id)
    before = _declared(plan)
    return checked(PlanForm(data=before), key, lambda tried: preview.try_plan(the_system(), tried, plan.id),
                   _fields(plan), before)


@blueprint.post("/<plan_id>/remove")
def remove(plan_id: str) -> ResponseReturnValue:
    """Removes it. No question before: nothing changes for anybody, and it is typed again in a minute."""
    plan = _plan(plan_id)
    try:
        plan = actions.remove_plan(the_system(), actor(), plan.id)
        flash(ngettext("The plan %(name)s is removed. %(num)d user had it, and keeps its limits.",
                       "The plan %(name)s is removed. %(num)d users had it, and keep its limits.",
                       plan.users, name=plan.name))
    except Refused as refusal:
        flash(in_words(refusal), "error")
    return redirect(url_for(".index"))


def _fields(plan: PlanView | None = None) -> dict[str, object]:
    hints = {spec.key: field_hint("plan", spec.key) for spec in PLAN_FIELDS}
    return checked_at(".check", PLAN_FIELDS, hints, plan_id=plan.id) if plan else \
        checked_at(".check_new", PLAN_FIELDS, hints)


def _plan(plan_id: str) -> PlanView:
    return next((plan for plan in plan_views.every_plan(the_system()) if plan.id == plan_id), None) or abort(404)


def _declared(plan: PlanView) -> dict[str, str]:
    return _written(next(each for each in the_config().plans if each.id == plan.id))


def _written(plan: Plan) -> dict[str, str]:
    """What is declared of a plan, as it is typed into the form."""
    return {spec.key: spec.write(getattr(plan, spec.attribute)) for spec in PLAN_FIELDS}
