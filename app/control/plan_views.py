"""Plans, for people and programs."""

from __future__ import annotations

from app.config.model import Config, Plan
from app.control.records import PlanView
from app.control.system import System
from app.rules import plans


def every_plan(system: System) -> list[PlanView]:
    """Every plan, in the order of the declaration."""
    config = system.declaration.last_good()
    return [view(plan, config) for plan in config.plans]


def plan(system: System, ref: str) -> PlanView:
    """The plan with this id or name. Raises Refused."""
    config = system.declaration.last_good()
    return view(plans.find(config, ref), config)


def view(plan: Plan, config: Config) -> PlanView:
    return PlanView(
        id=plan.id, name=plan.name, users=len(plans.having(config, plan)), limit_gb=plan.traffic_limit_gb,
        at_limit=plan.at_limit, speed_mbps=plan.throttle_speed_mbps, max_unique_ips=plan.max_unique_ips,
        reset_cycle=plan.reset_cycle, expires_after_days=plan.expires_after_days)
