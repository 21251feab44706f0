"""`plan …`."""

from __future__ import annotations


def test_a_plan_is_added_listed_given_changed_and_removed(run) -> None:
    assert "plan add NAME" in run("plan", "list").stdout
    plan = run("plan", "add", "Family", "--limit-gb", "5", "--max-unique-ips", "none", "--json").json()
    assert (plan["name"], plan["limit_gb"], plan["max_unique_ips"], plan["users"]) == ("Family", 5, None, 0)
    user = run("user", "add", "Alice", "--disabled", "--plan", "family", "--json").json()
    assert (user["plan"], user["limit_gb"], user["own_limit_gb"]) == ("Family", 5, 0)
    assert "plan" in run("user", "show", "Alice").stdout
    assert run("plan", "set", "Family", "limit_gb=6", "--json").json()["users"] == 1
    assert run("plan", "list", "--json").json()[0]["limit_gb"] == 6
    assert "6 GB" in run("plan", "show", "Family").stdout
    assert "stay with 1 user" in run("plan", "remove", "Family").stdout
    assert run("user", "show", "Alice", "--json").json()["own_limit_gb"] == 6


def test_what_is_refused_says_what_there_is(run) -> None:
    run("plan", "add", "Family")
    assert "there are: Family" in run("plan", "set", "Gold", "limit_gb=1").refused()
    assert "there is a plan 'Family' already" in run("plan", "add", "family").refused()
    assert "a plan has no field 'colour'" in run("plan", "set", "Family", "colour=red").refused()
