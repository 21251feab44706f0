"""Notifications: the channels, one's form, and a test of it; for owners."""

from __future__ import annotations

import json

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.actions import notifications as actions
from app.config.channels import KINDS, Channel
from app.control.errors import Refused
from app.notify.delivery import send_test
from app.rules.channels import OF_KIND
from app.web.context import actor, the_config, the_system
from app.web.language import in_words
from app.web.notification_form import EVENT_NAMES, KIND_NAMES, ChannelForm, shown, written
from app.web.pages.settings import only_sudo

blueprint = Blueprint("notifications", __name__, url_prefix="/notifications")
blueprint.before_request(only_sudo)


@blueprint.get("")
def index() -> str:
    """Every channel, and whether it can be reached."""
    states = the_system().ledger.letters.states()
    troubles = {channel.id: [state.problem for box, state in states.items()
                             if box.partition("/")[0] == channel.id and state.failures]
                for channel in the_config().notifications}
    return render_template("notifications/index.html", channels=the_config().notifications, troubles=troubles,
                           kinds=KIND_NAMES, events=EVENT_NAMES)


@blueprint.route("/new/<kind>", methods=["GET", "POST"])
def new(kind: str) -> ResponseReturnValue:
    """Adds a channel of this kind."""
    if kind not in KINDS:
        abort(404)
    fresh = Channel.model_validate({"name": str(KIND_NAMES[kind]), "kind": kind})
    form = ChannelForm(data=written(fresh))
    form.offer(kind)
    if form.validate_on_submit():
        try:
            channel = actions.add_channel(the_system(), actor(), kind, form.typed(kind))
        except Refused as refusal:
            form.show(refusal)
        else:
            flash(_("%(name)s is added. Send a test to see whether it arrives.", name=channel.name))
            return redirect(url_for(".index"))
    return _form(form, kind, None)


@blueprint.route("/<channel_id>", methods=["GET", "POST"])
def edit(channel_id: str) -> ResponseReturnValue:
    """Changes what differs from what the page showed."""
    channel = _find(channel_id)
    if channel is None:
        return _removed_meanwhile()
    before = shown(channel)
    form = ChannelForm(data={**written(channel), "shown": json.dumps(before)})
    form.offer(channel.kind)
    if form.validate_on_submit():
        seen = form.were_shown(before)
        # An empty secret is the one that is kept.
        changes = {key: text for key, text in form.typed(channel.kind).items()
                   if (text if key == "secret" else text.split() != seen[key].split())}
        try:
            if changes:
                actions.change_channel(the_system(), actor(), channel.id, changes,
                                       lambda now: form.refuse_stale(changes, shown(now)))
        except Refused as refusal:
            if _find(channel_id) is None:
                return _removed_meanwhile()
            form.show(refusal)
        else:
            flash(_("%(name)s is saved.", name=form.name.data) if changes else _("Nothing was changed."))
            return redirect(url_for(".index"))
    return _form(form, channel.kind, channel)


@blueprint.post("/<channel_id>/test")
def test(channel_id: str) -> ResponseReturnValue:
    """Sends a test, and says what came of it."""
    channel = _channel(channel_id)
    try:
        send_test(the_system(), actor(), channel.id)
        flash(_("The test was sent by %(name)s. Look whether it has arrived.", name=channel.name))
    except Refused as refusal:
        flash(_("The test by %(name)s was not sent: %(reason)s", name=channel.name, reason=in_words(refusal)), "error")
    return redirect(url_for(".index"))


@blueprint.route("/<channel_id>/remove", methods=["GET", "POST"])
def remove(channel_id: str) -> ResponseReturnValue:
    """Removes it, after a question: its secret is shown to nobody, and so typed anew."""
    channel = _channel(channel_id)
    if request.method != "POST":
        return render_template("notifications/remove.html", channel=channel)
    actions.remove_channel(the_system(), actor(), channel.id)
    flash(_("%(name)s is removed.", name=channel.name))
    return redirect(url_for(".index"))


def _find(channel_id: str) -> Channel | None:
    return next((one for one in the_config().notifications if one.id == channel_id), None)


def _channel(channel_id: str) -> Channel:
    return _find(channel_id) or abort(404)


def _removed_meanwhile() -> ResponseReturnValue:
    """What was typed for a channel that somebody has removed: it can be added with that. A page asked for is none."""
    form, kind = ChannelForm(), request.form.get("kind", "")
    if request.method != "POST" or kind not in KINDS:
        abort(404)
    form.offer(kind)
    form.form_errors.append(_("This channel has been removed meanwhile. Your input is kept here and was not saved. "
                              "Add the channel again, with its secret, or leave this page."))
    return _form(form, kind, None)


def _form(form: ChannelForm, kind: str, channel: Channel | None) -> ResponseReturnValue:
    page = render_template("notifications/edit.html", form=form, kind=kind, channel=channel, kinds=KIND_NAMES,
                           keys=OF_KIND[kind])
    return page, 422 if form.is_submitted() else 200
