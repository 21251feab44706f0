"""Plans and settings."""

from __future__ import annotations

from app.accounts.actor import Right
from app.actions import plans as actions
from app.actions import settings as settings_actions
from app.api import answers
from app.api.fields import of_spec, required
from app.api.operations import Answer, Asked, nothing, operation
from app.api.users import declared
from app.config import schema
from app.config.model import SETTINGS, Config, Plan
from app.control import plan_views
from app.rules import seen
from app.rules.plans import CHANGEABLE

PLAN = tuple(of_spec(spec) for spec in CHANGEABLE.values())
FIELDS = tuple(of_spec(spec) for spec in schema.fields(Config).values())


@operation("GET", "/plans", answers=list[answers.Plan])
def plans(asked: Asked) -> Answer:
    """List plans."""
    return Answer([_plan(plan, asked.config) for plan in asked.config.plans])


@operation("POST", "/plans", Right.USERS, answers.Plan, 201, required(PLAN, "name"), versioned=True, once=True)
def add_plan(asked: Asked) -> Answer:
    """Add a plan."""
    changes = _typed(asked)
    name = changes.pop("name")
    plan_id = asked.made_once(lambda: actions.add_plan(asked.system, asked.actor, name, **changes).id)
    return _told(asked, plan_id, 201, f"/plans/{plan_id}")


@operation("GET", "/plans/<plan_id>", answers=answers.Plan, versioned=True)
def plan(asked: Asked, plan_id: str) -> Answer:
    """Read a plan."""
    return _told(asked, plan_id)


@operation("PATCH", "/plans/<plan_id>", Right.USERS, answers.Plan, body=PLAN, versioned=True)
def change_plan(asked: Asked, plan_id: str) -> Answer:
    """Change the fields that are sent, for everybody who has the plan."""
    asked.check(_found(asked, plan_id))
    if asked.body:
        actions.change_plan(asked.system, asked.actor, plan_id, _typed(asked), asked.check)
    return _told(asked, plan_id)


@operation("DELETE", "/plans/<plan_id>", Right.USERS, status=204, versioned=True)
def remove_plan(asked: Asked, plan_id: str) -> Answer:
    """Remove a plan; who has it keeps its limits as their own."""
    _found(asked, plan_id)
    actions.remove_plan(asked.system, asked.actor, plan_id, asked.check)
    return Answer(status=204)


@operation("GET", "/settings", Right.SUDO, answers.Settings, versioned=True)
def settings(asked: Asked) -> Answer:
    """Read every setting."""
    version = seen.version(asked.config, SETTINGS)
    return Answer(answers.Settings({field.name: declared(field, asked.config) for field in FIELDS}, version),
                  version=version)


@operation("PATCH", "/settings", Right.SUDO, answers.Settings, body=FIELDS, versioned=True)
def change_settings(asked: Asked) -> Answer:
    """Change the settings that are sent, all or none of them."""
    asked.check(asked.config, SETTINGS)
    if asked.body:
        settings_actions.set_settings(asked.system, asked.actor, asked.body,
                                      lambda config: asked.check(config, SETTINGS))
    return settings(asked)


def _found(asked: Asked, plan_id: str) -> Plan:
    for each in asked.config.plans:
        if each.id == plan_id:
            return each
    raise nothing("api.no_plan", plan_id)


def _told(asked: Asked, plan_id: str, status: int = 200, location: str = "") -> Answer:
    answer = _plan(_found(asked, plan_id), asked.config)
    return Answer(answer, status, answer.version, location)


def _plan(found: Plan, config: Config) -> answers.Plan:
    return answers.Plan(found.id, found.name, plan_views.view(found, config).users,
                        {field.name: declared(field, found) for field in PLAN}, seen.version(found))


def _typed(asked: Asked) -> dict[str, str]:
    return {field.name: field.typed(asked.body[field.name]) for field in PLAN if field.name in asked.body}
