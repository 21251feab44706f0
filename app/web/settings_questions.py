"""What is asked before settings are saved: what changes for people, and under which address the panel is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.config.model import Config
from app.control import preview
from app.control.errors import Refused
from app.control.system import System
from app.rules import door
from app.web.formats import command_line
from app.web.language import gettext, ngettext


@dataclass
class Question:
    """title: the question. points: what follows, each with what matters most of it first. yes: the button; busy: what
    it says meanwhile."""

    title: str = ""
    points: list[tuple[str, str]] = field(default_factory=list)
    yes: str = ""
    busy: str = ""


def asked(system: System, changes: Mapping[str, str]) -> Question | None:
    """What to ask before these changes are saved; None if nobody would notice, or if they will be refused."""
    before = system.declaration.last_good()
    try:
        after = preview.changed(system, changes)
    except Refused:
        return None
    if after.port_443_mode != before.port_443_mode:
        question = switched(after.port_443_mode)
    else:
        question = Question(yes=gettext("Save settings"), busy=gettext("Saving…"))
        _interrupted(question, system, changes)
    _moved(question, before, after, system.port443.door_port)
    return question if question.points else None


def switched(on: bool) -> Question:
    """The question before port 443 is switched on, or off."""
    if on:
        return Question(gettext("Move all users to port 443?"), [
            ("", gettext("Every proxy restarts once. Telegram connects again by itself, but only users who have the "
                         "new link get through.")),
            (gettext("The port in every link becomes 443."),
             gettext("The old links stop working: send the new ones. The secrets stay the same, so in Telegram's proxy "
                     "settings it is enough to change the port.")),
            ("", gettext("nginx tells users apart by their domains, so two users can no longer have the same domain.")),
            ("", gettext("The users' own ports are closed. Only 443, and 80 for certificates, need to be open in your "
                         "firewall.")),
            ("", gettext("If nginx does not start with this configuration, everything stays as it is, and the panel "
                         "says why."))], gettext("Move all users to port 443"), gettext("Switching…"))
    return Question(gettext("Switch port 443 off?"), [
        ("", gettext("Every proxy restarts once, and each user has their own port again.")),
        (gettext("The port in every link changes."),
         gettext("The links with 443 stop working: send the new ones. The secrets stay the same.")),
        ("", gettext("Previous links, from before a change of domain, stop working, even if their time is not over.")),
        ("", gettext("The users' ports must be open in your firewall."))],
        gettext("Switch port 443 off"), gettext("Switching…"))


def _interrupted(question: Question, system: System, changes: Mapping[str, str]) -> None:
    ended = preview.of_settings(system, changes)
    if not ended.users:
        return
    question.title = gettext("Save and reconnect people?")
    question.points.append((
        ngettext("The proxy of %(num)d user restarts once.", "The proxies of %(num)d users restart once.", ended.users),
        ngettext("%(num)d of them is connected now; Telegram connects again by itself.",
                 "%(num)d of them are connected now; Telegram connects again by itself.", ended.connected)
        if ended.connected else gettext("Telegram connects again by itself.") if ended.connected is None else
        gettext("Nobody of them is connected now.")))


def _moved(question: Question, before: Config, after: Config, port: int) -> None:
    old, new = ({where for where in (f"https://{config.panel_domain}/" if config.panel_domain else "",
                                     door.url(config, port)) if where} for config in (before, after))
    if not old - new:
        return
    question.title = question.title or gettext("Change the panel's address?")
    gone, come = gettext("The panel is no longer found at this address:"), gettext("Its new address, to copy now:")
    question.points += [(gone, where) for where in sorted(old - new)]
    question.points += [(come, where) for where in sorted(new - old)]
    if not new:
        question.points.append((gettext("On the server, this brings the last one back:"),
                                f"{command_line()} settings set panel_by_address=true"))
