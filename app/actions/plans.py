"""What is done to plans: add, change, remove."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.accounts.actor import Actor, Right
from app.actions.declare import edit
from app.config.model import Config, Plan
from app.control import passes, plan_views
from app.control.errors import after_saving
from app.control.records import PlanView
from app.control.system import System
from app.messages import Problem
from app.rules import plans


def add_plan(system: System, actor: Actor, name: str, **fields: object) -> PlanView:
    """A new plan, which nobody has yet. fields: as typed, those of rules.plans.CHANGEABLE; None is left out."""
    actor.require(Right.USERS)
    with edit(system) as config:
        plan = plans.add(config, {"name": name, **{key: value for key, value in fields.items() if value is not None}})
    system.ledger.events.record(str(actor), "plan.added", plan.name)
    return plan_views.plan(system, plan.id)


def change_plan(system: System, actor: Actor, ref: str, changes: Mapping[str, object],
                check: Callable[[Plan], None] = lambda plan: None) -> PlanView:
    """For everybody who has it. check: raises Refused for a plan that is not as the person saw it."""
    actor.require(Right.USERS)
    with edit(system) as config:
        plan = plans.find(config, ref)
        check(plan)
        plans.change(config, plan, changes)
    return _changed(system, actor, plan, "plan.changed", Problem("event.fields", {"names": list(changes)}))


def remove_plan(system: System, actor: Actor, ref: str,
                check: Callable[[Plan], None] = lambda plan: None) -> PlanView:
    """Nothing changes for those who have it: they keep its limits as their own. Returns how it last looked. check: as
    in change_plan."""
    actor.require(Right.USERS)
    with edit(system) as config:
        plan = plans.find(config, ref)
        check(plan)
        last, theirs = plan_views.view(plan, config), _users_of(plan, config)
        plans.remove(config, plan)
    with after_saving(Problem("saved.plan", {"action": Problem("plan.removed")})):
        system.ledger.events.record(str(actor), "plan.removed", plan.name, users=theirs)
    return last


def _changed(system: System, actor: Actor, plan: Plan, action: str, detail: Problem) -> PlanView:
    with after_saving(Problem("saved.plan", {"action": Problem(action)})):
        theirs = _users_of(plan, system.declaration.last_good())
        system.ledger.events.record(str(actor), action, plan.name, detail, users=theirs)
        passes.attempt(lambda: passes.reconcile(system))
        return plan_views.plan(system, plan.id)


def _users_of(plan: Plan, config: Config) -> list[str]:
    """The ids of those who have it: what is done to it is part of their history."""
    return [user.id for user in config.users if user.plan == plan.name]
