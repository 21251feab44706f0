"""Deleted users, and what is done to many users at once."""

from __future__ import annotations

from flask import current_app

from app.accounts.actor import Right
from app.actions import users as actions
from app.actions.many import ACTIONS, Job, Many
from app.api import answers
from app.api.fields import Field, refuse_misfits
from app.api.operations import Answer, Asked, nothing, operation
from app.api.users import FIELDS, told, typed
from app.control import views
from app.rules.many import MOST_ADDED

#: What may be given to all who are added together.
GIVEN = tuple(field for field in FIELDS if field.name in (
    "note", "plan", "limit_gb", "at_limit", "speed_mbps", "max_unique_ips", "reset_cycle", "expires",
    "expires_after_days", "engine", "tags"))
MOST = 20_000


@operation("GET", "/deleted-users", answers=list[answers.DeletedUser])
def deleted(asked: Asked) -> Answer:
    """List who was deleted and can be restored, the last one first."""
    return Answer([answers.DeletedUser(each.id, each.name, each.port, each.domain, each.note, each.deleted_at,
                                       each.until) for each in views.deleted(asked.system)])


def _restored(asked: Asked, user_id: str) -> Answer:
    return Answer(answers.Restored(told(asked.system, user_id).data, []))


@operation("POST", "/deleted-users/<user_id>/restore", Right.USERS, answers.Restored, again=_restored)
def restore(asked: Asked, user_id: str) -> Answer:
    """Bring a deleted user back, with the link that they had."""
    _deleted(asked, user_id)
    view, changed = actions.restore(asked.system, asked.actor, user_id)
    answer = told(asked.system, view.id)
    return Answer(answers.Restored(answer.data, changed))


@operation("DELETE", "/deleted-users/<user_id>", Right.USERS, status=204)
def forget(asked: Asked, user_id: str) -> Answer:
    """End the time in which a deleted user can be restored."""
    _deleted(asked, user_id)
    actions.forget(asked.system, asked.actor, user_id)
    return Answer(status=204)


@operation("POST", "/bulk", Right.USERS, answers.Job, 202, once=True, body=(
    Field("action", "text", "What is done to each.", required=True, choices=ACTIONS),
    Field("ids", "list", "The ids of users.", required=True, least=1, most=MOST),
    Field("value", "text", "What the action needs: GB, days, a limit, an engine or a tag.")))
def begin(asked: Asked) -> Answer:
    """Begin to change many users: one save, one pass. The answer tells where to ask how far it is."""
    def make() -> str:
        return _many().begin(asked.actor, asked.body["ids"], asked.body["action"], asked.body.get("value", "")).id

    return _begun(asked.made_once(make))


@operation("POST", "/bulk/users", Right.USERS, answers.Job, 202, once=True, body=(
    Field("names", "list", "The names of the new users.", required=True, least=1, most=MOST_ADDED),
    Field("fields", "object", "What all of them are given: " + ", ".join(field.name for field in GIVEN) + ".")))
def add(asked: Asked) -> Answer:
    """Add many users, all of them or none, and begin to start their proxies."""
    given = asked.body.get("fields", {})
    refuse_misfits(GIVEN, given)

    def make() -> str:
        return _many().begin_adding(asked.actor, asked.body["names"], typed(given)).id

    return _begun(asked.made_once(make))


@operation("GET", "/bulk/<job_id>", answers=answers.Job)
def job(asked: Asked, job_id: str) -> Answer:
    """Read how far a change to many users is, and what came of it."""
    return Answer(_told(_job(job_id)))


@operation("POST", "/bulk/<job_id>/undo", Right.USERS, answers.Job, 202, once=True)
def undo(asked: Asked, job_id: str) -> Answer:
    """Begin to take it back, for whoever was not changed again since."""
    return _begun(asked.made_once(lambda: _many().begin_undo(asked.actor, _job(job_id)).id))


def _many() -> Many:
    found: Many = current_app.extensions["many"]
    return found


def _job(job_id: str) -> Job:
    found = _many().job(job_id)
    if found is None:
        raise nothing("api.no_job", job_id)
    return found


def _begun(job_id: str) -> Answer:
    return Answer(_told(_job(job_id)), 202, location=f"/bulk/{job_id}")


def _told(found: Job) -> answers.Job:
    return answers.Job(
        found.id, found.what, found.value, found.phase, found.wanted, dict(found.changed), found.same,
        [answers.Trouble(*each) for each in list(found.failed)], [answers.Trouble(*each) for each in list(found.later)],
        found.trouble, found.can_undo)


def _deleted(asked: Asked, user_id: str) -> None:
    if all(each.id != user_id for each in asked.config.deleted_users):
        raise nothing("user.not_deleted", user_id)
