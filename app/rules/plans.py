"""Changes to plans, as changes to the declaration. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from app.config import schema
from app.config.model import Config, Plan, User, new_id
from app.messages.refused import Refused
from app.rules import names, typed_limits

#: What may be changed of a plan, by the names that people use.
CHANGEABLE = schema.fields(Plan)

#: More than anybody can choose from.
MOST = 100


def find(config: Config, ref: str) -> Plan:
    """The plan with this id or name, whatever the case. Raises Refused."""
    for plan in config.plans:
        if ref == plan.id or ref.strip().casefold() == plan.name.casefold():
            return plan
    if not config.plans:
        raise Refused("plan.none_yet", "plan", ref=ref)
    raise Refused("plan.unknown", "plan", ref=ref, plans=[plan.name for plan in config.plans])


def having(config: Config, plan: Plan) -> list[User]:
    """Who has it."""
    return [user for user in config.users if user.plan == plan.name]


def add(config: Config, changes: Mapping[str, object]) -> Plan:
    """Append a new plan. Raises Refused, and then the config is not to be saved."""
    if len(config.plans) >= MOST:
        raise Refused("plan.many", most=MOST)
    plan = Plan(id=new_id({plan.id for plan in config.plans}), name="new")
    # Nobody has it yet, so no user follows its new name.
    _change(config, plan, {"name": "", **changes})
    config.plans.append(plan)
    return plan


def change(config: Config, plan: Plan, changes: Mapping[str, object]) -> None:
    """Apply values as they come from a form or a command line; whoever has the plan follows a new name. Raises Refused,
    with a part for each that is."""
    theirs = having(config, plan)
    _change(config, plan, changes)
    for user in theirs:
        user.plan = plan.name


def remove(config: Config, plan: Plan) -> list[User]:
    """Take it away. Who has it keeps, as limits of their own, what applied to them by it; who that is."""
    theirs = having(config, plan)
    for user in theirs:
        if user.traffic_limit_gb == 0:
            user.traffic_limit_gb = plan.traffic_limit_gb
        if user.throttle_speed_mbps == 0:
            user.throttle_speed_mbps = plan.throttle_speed_mbps
        if user.max_unique_ips == 0:
            user.max_unique_ips = plan.max_unique_ips
        user.at_limit = user.at_limit or plan.at_limit
        user.reset_cycle = user.reset_cycle or plan.reset_cycle
        user.plan = ""
    config.plans.remove(plan)
    return theirs


def _change(config: Config, plan: Plan, changes: Mapping[str, object]) -> None:
    refused: list[Refused] = []
    for key, value in changes.items():
        try:
            _set(config, plan, key, str(value).strip())
        except Refused as refusal:
            refused.append(refusal)
    Refused.raise_all(refused)


def _set(config: Config, plan: Plan, key: str, text: str) -> None:
    if key not in CHANGEABLE:
        raise Refused("plan.no_field", key, name=key, names=list(CHANGEABLE))
    if key == "name":
        plan.name = names.free(text, plan, config.plans, "plan.exists")
    elif key == "expires_after_days":
        plan.expires_after_days = typed_limits.days(text)
    elif not typed_limits.set_limit(plan, key, text):
        setattr(plan, CHANGEABLE[key].attribute, typed_limits.read(CHANGEABLE[key], text))
