"""The page of deleted users."""

from __future__ import annotations


def test_a_deleted_user_is_restored_from_the_page_with_the_same_link(admin, fleet) -> None:
    link = fleet.add_user('O\'Brien <b>"&\\').tg_link
    user = fleet.users()[0].id
    assert "Nobody was deleted" in admin.get("/deleted").get_data(as_text=True)
    admin.post(f"/users/{user}/remove")
    page = admin.get("/deleted").get_data(as_text=True)
    assert "O&#39;Brien &lt;b&gt;" in page and f"/deleted/{user}/restore" in page
    answer = admin.post(f"/deleted/{user}/restore")
    assert answer.location == f"/users/{user}" and fleet.users()[0].tg_link == link
    # Whoever presses a button of a user who is gone, in another tab, is told.
    assert "no deleted user" in admin.client.post("/deleted/0badc0de/restore", data={
        "csrf_token": admin.token()}, follow_redirects=True).get_data(as_text=True)


def test_one_who_is_deleted_for_good_is_gone_from_it(admin, fleet) -> None:
    user = fleet.add_user("Alice").id
    admin.post(f"/users/{user}/remove")
    assert admin.post(f"/deleted/{user}/forget").location == "/deleted"
    assert fleet.deleted() == []


def test_a_second_press_of_restore_leads_to_the_user_who_is_there(admin, fleet) -> None:
    bob = fleet.add_user("Bob")
    fleet.remove("Bob")
    for said in ("is restored. The same link works again", "is restored already"):
        answer = admin.post(f"/deleted/{bob.id}/restore")
        assert answer.location == f"/users/{bob.id}"
        assert said in admin.get(answer.location).get_data(as_text=True)
