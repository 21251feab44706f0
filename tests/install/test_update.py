"""update.sh: from a release to the next one, and back, with data and links as they were."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.install.update_lab import DATA, Server, tree


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_the_newest_release_is_fetched_built_and_serves(server: Server) -> None:
    server.publish("v2")
    done = server.update()
    assert done.code == 0, done.told
    assert server.version == "v2" and server.data() == DATA
    assert "back to v1: sudo bash" in done.stdout
    # Built before anything was switched, and beside a panel that served.
    calls = server.calls
    built = next(i for i, call in enumerate(calls) if call.startswith("docker build") and "mtproto-panel:v2" in call)
    switched = next(i for i, call in enumerate(calls) if "up -d --no-build" in call)
    assert built < switched and not any("stop" in call for call in calls)
    # nginx and the proxies were left alone.
    assert not any("nginx" in call for call in calls[switched:]) and "proxies that run" not in done.stdout
    assert "v2 is here already" in server.update().stdout


def test_settings_stay_and_defaults_move_on_behind_a_chosen_mirror(server: Server) -> None:
    made = server.publish("v2")
    images = (made / "host/lib/images.sh").read_text()
    assert "nginx:1.30" in images
    newer = server.publish("v3")
    (newer / "host/lib/images.sh").write_text(images.replace("nginx:1.30", "nginx:1.32"))
    done = server.update("--from", str(newer))
    assert done.code == 0, done.told
    assert server.setting("NGINX_IMAGE") == "mirror.example/library/nginx:1.32"
    assert server.setting("MTG_IMAGE") == "my/own:mtg" and server.setting("TZ") == "Europe/Berlin"


def test_check_says_what_is_new_and_changes_nothing(server: Server) -> None:
    server.publish("v2")
    told = server.update("--check").stdout
    assert "Installed: v1" in told and "Newest:    v2" in told and "update.sh" in told
    assert server.version == "v1" and not (server.home / "update.log").exists()
    assert server.update().code == 0
    assert "This is the newest release" in server.update("--check").stdout


def test_a_version_by_name_and_one_that_there_is_not(server: Server) -> None:
    server.publish("v2")
    server.publish("v3")
    assert server.update("--version", "v2").code == 0 and server.version == "v2"
    missing = server.update("--version", "v9")
    assert missing.code == 1 and "there is no release v9" in missing.stderr and "Nothing was changed" in missing.stderr
    odd = server.update("--version", "../v2")
    assert odd.code == 2 and "letters, digits" in odd.stderr


def test_what_was_changed_on_the_way_is_thrown_away(server: Server) -> None:
    server.publish("v2")
    archive = server.site / "download/v2/mtproto-v2.tar.gz"
    archive.write_bytes(archive.read_bytes() + b"more")
    done = server.update()
    assert done.code == 1 and "is not the release v2" in done.stderr and "Nothing was changed" in done.stderr
    assert server.version == "v1" and list((server.home / "releases").iterdir()) == [server.home / "releases/v1"]
    beside = server.update("--from", str(archive))
    assert beside.code == 1 and "is not what" in beside.stderr


def test_an_archive_and_a_checkout_on_this_server(server: Server) -> None:
    server.publish("v2")
    assert server.update("--from", str(server.site / "download/v2/mtproto-v2.tar.gz")).code == 0
    assert server.version == "v2"
    checkout = tree(server.folder / "check out", "v3")
    assert server.update("--from", str(checkout)).code == 0 and server.version == "v3"
    # Worked in since: the release that serves stays as it is, and this is another one.
    (checkout / "app/version.txt").write_text("changed")
    assert server.update("--from", str(checkout)).code == 0 and server.version.startswith("v3.")
    assert (server.home / "releases/v3/app/version.txt").read_text() == "v3"
    assert "is here already" in server.update("--from", str(checkout)).stdout


@pytest.mark.parametrize(("trouble", "told"), [
    ("broken", "did not answer"), ("probe-fails", "led to Telegram before does not any more"),
    ("no-start", "could not be started")])
def test_a_release_that_does_not_work_is_taken_back_by_itself(server: Server, trouble: str, told: str) -> None:
    server.publish("v2")
    server.say(trouble, "v2")
    done = server.update()
    assert done.code == 1 and told in done.stderr and "v1 serves again" in done.stderr, done.told
    assert server.version == "v1" and server.data() == DATA and not (server.home / ".update").exists()
    # The timer does not try the same every night; a person may.
    again = server.update("--unattended")
    assert again.code == 0 and "not tried again by itself" in again.stdout and server.version == "v1"
    (server.stubs / trouble).unlink()
    assert server.update().code == 0 and server.version == "v2"
    assert server.update("--unattended").code == 0


def test_a_panel_that_ends_again_and_again_is_not_waited_for(server: Server) -> None:
    server.publish("v2")
    server.say("broken", "v2")
    server.say("ends", "v2")
    done = server.update(MTPROTO_WAIT="10000")
    assert done.code == 1 and "did not answer, and ended again and again" in done.stderr, done.told
    assert server.version == "v1"


def test_a_proxy_that_did_not_work_before_is_no_reason_to_go_back(server: Server) -> None:
    server.publish("v2")
    server.say("probe-fails", "v1\nv2")
    done = server.update()
    assert done.code == 0 and server.version == "v2" and "not judged by that" in done.stdout


@pytest.mark.parametrize("trouble", ["build-fails", "config-refused"])
def test_what_fails_before_the_switch_changes_nothing(server: Server, trouble: str) -> None:
    server.publish("v2")
    server.say(trouble, "v2")
    done = server.update()
    assert done.code == 1 and server.version == "v1" and server.data() == DATA, done.told
    told = "taken back before it served" if trouble == "config-refused" else "Unable to fetch"
    assert told in done.stderr
    assert not any("up -d" in call or "stop" in call for call in server.calls)


def test_rollback_is_the_release_before_with_todays_data(server: Server) -> None:
    assert "no release was here before v1" in server.update("--rollback").stderr
    server.publish("v2")
    server.update()
    (server.home / "data/config.json").write_text("changed since")
    done = server.update("--rollback")
    assert done.code == 0 and server.version == "v1", done.told
    assert server.data() == {**DATA, "config.json": "changed since"}
    assert server.update("--unattended").code == 0 and server.version == "v1"
    # And forth again.
    assert server.update("--rollback").code == 0 and server.version == "v2"


def test_data_that_the_older_release_can_not_read_is_as_it_left_it(server: Server) -> None:
    server.say("ledger.v1", "5 5")
    server.say("ledger.v2", "8 8")
    server.publish("v2")
    server.update()
    (server.home / "data/panel.db").write_text("measured by v2")
    (server.home / "data/panel.db-wal").write_text("newer pages")
    (server.home / "data/config.json").write_text("with new fields")
    server.say("config-refused", "v1")
    done = server.update("--rollback")
    assert done.code == 0 and server.version == "v1", done.told
    assert server.data() == DATA and not (server.home / "data/panel.db-wal").exists()
    assert "measured since are not in it" in done.told and "was changed since" in done.told
    kept = next(backup for backup in server.backups() if (backup / "panel.db.newer").exists())
    assert (kept / "panel.db.newer").read_text() == "measured by v2"
    assert (kept / "config.json.newer").read_text() == "with new fields"


def test_proxies_are_replaced_only_if_their_image_has_changed(server: Server) -> None:
    server.publish("v2", proxy="mtg 2")
    server.say("outdated", "12")
    before = server.image("mtg-custom:latest")
    done = server.update("--keep-proxies")
    assert done.code == 0 and "12 proxies still run the old image" in done.stdout, done.told
    assert server.image("mtg-custom:latest") != before == server.image("mtg-custom:v1")
    server.publish("v3", proxy="mtg 2")
    done = server.update()
    assert "Replacing 12 proxies" in done.stdout and "Bob: replaced" in done.stdout
    assert server.image("mtg-custom:v3") == server.image("mtg-custom:v2")
    # What a removal takes away has all names that were given.
    there = {path.name for path in (server.stubs / "images").iterdir() if path.name.startswith("mtg-custom:v")}
    assert there <= set((server.home / ".images").read_text().split())


def test_an_image_of_ones_own_under_the_proxies_name_stays(server: Server) -> None:
    server.image("mtg-custom:latest", "mine ")
    server.publish("v2", proxy="mtg 2")
    done = server.update()
    assert done.code == 0 and "one of your own" in done.stdout and server.image("mtg-custom:latest") == "mine \n"


def test_nginx_is_started_anew_only_for_a_new_configuration(server: Server) -> None:
    server.publish("v2", nginx="events { }")
    done = server.update()
    assert done.code == 0 and "nginx has a new configuration" in done.stdout
    assert any("--force-recreate nginx" in call for call in server.calls)


def test_two_releases_and_five_backups_are_kept(server: Server) -> None:
    for number in range(2, 8):
        server.say(f"ledger.v{number}", "7 5")
        server.publish(f"v{number}")
        assert server.update().code == 0
    assert sorted(path.name for path in (server.home / "releases").iterdir()) == ["v6", "v7"]
    assert [each for each in (server.stubs / "images").iterdir() if each.name.startswith("mtproto-panel:v3")] == []
    assert len(server.backups()) == 5 and all(b.stat().st_mode & 0o777 == 0o700 for b in server.backups())
    assert (server.home / "update.log").stat().st_mode & 0o777 == 0o600


def test_a_backup_of_this_very_second_by_a_run_that_was_broken_off_is_not_in_the_way(server: Server) -> None:
    server.publish("v2")
    for second in range(8):
        there = server.home / f"backups/{time.strftime('%Y%m%d-%H%M%S', time.localtime(time.time() + second))}-v1"
        there.mkdir(parents=True)
        (there / "config.json").write_text("older")
    done = server.update()
    assert done.code == 0 and server.version == "v2", done.told
    assert {(backup / "config.json").read_text() for backup in server.backups()} == {"older", DATA["config.json"]}


def test_a_full_disk_is_found_out_before_anything_is_changed(server: Server) -> None:
    server.publish("v2")
    done = server.update(MTPROTO_LEAST_DISK="999999999")
    assert done.code == 1 and "MB are free on the disk of" in done.stderr and server.version == "v1"
    assert not any("build" in call for call in server.calls)


def test_one_at_a_time(server: Server) -> None:
    server.publish("v2")
    with (server.home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = server.update()
        assert done.code == 1 and "another installation, update or removal" in done.stderr
    assert server.update().code == 0


def test_the_way_back_to_a_release_from_before_takes_along_what_that_one_could_not_remove(server: Server) -> None:
    server.home = server.home.rename(server.folder / "proxies")
    (server.stubs / "data").unlink()
    (server.stubs / "data").symlink_to(server.home / "data")
    for folder in ("root/run/systemd/system", "units", "etc/fail2ban", "etc/logrotate.d"):
        (server.folder / folder).mkdir(parents=True)
    for name in ("fail2ban-client", "nft", "ufw", "firewall-cmd", "iptables", "ip6tables"):
        (server.bin / name).write_text("#!/bin/sh\nexit 1\n")
        (server.bin / name).chmod(0o755)
    etc = {"MTPROTO_ETC": str(server.folder / "etc")}
    server.publish("v2")
    assert server.update(**etc).code == 0
    source = server.home / "current/host/fail2ban"
    subprocess.run(["bash", source / "mtproto-bans", "install", source, server.home / "data"], check=True, env={
        **etc, "PATH": f"{server.bin}:{os.environ['PATH']}", "MTPROTO_ROOT": str(server.folder / "root"),
        "MTPROTO_UNITS": str(server.folder / "units")})

    def outside() -> set[str]:
        return {str(path) for place in ("etc", "units", "root") for path in (server.folder / place).rglob("*")
                if path.is_file()}

    made = outside()
    for name in ("root/usr/local/sbin/mtproto-bans", "etc/fail2ban/jail.d/mtproto.conf", "units/mtproto-bans.path",
                 "etc/systemd/system/mtproto-firewall.timer", "etc/logrotate.d/"):
        assert any(f"{server.folder}/{name}" in each for each in made), made
    # As that of 27 November 2026 was: one rule for each port, a unit that watches config.json, nothing of fail2ban.
    older = server.home / "releases/v1/host"
    shutil.rmtree(older / "fail2ban")
    for name in ("outside.sh", "lib/fail2ban.sh", "lib/firewall_places.sh", "lib/firewall_limits.sh"):
        (older / name).unlink()
    (older / "lib/firewall.sh").write_text("""open_firewall() {
        printf 'ufw 2443\\n' >"$MTPROTO_HOME/firewall.rules"
        record "$MTPROTO_HOME/.files" "$ETC/systemd/system/mtproto-firewall.path"
        printf 'config.json\\n' >"$ETC/systemd/system/mtproto-firewall.path"
    }\n""")
    done = server.update("--rollback", **etc)
    assert done.code == 0 and server.version == "v1" and "could not be taken back" not in done.told, done.told
    left = outside()
    # Its own removal goes by this list, and its own notes of rules.
    assert left == set((server.home / ".files").read_text().splitlines())
    assert {path.rpartition("/")[2] for path in left if "systemd" in path} == {"mtproto-firewall.path"}
    assert (server.folder / "etc/systemd/system/mtproto-firewall.path").read_text() == "config.json\n"
    assert (server.home / "firewall.rules").read_text() == "ufw 2443\n"
    assert "systemctl disable --now mtproto-bans.path" in server.calls


def test_updates_by_themselves_are_a_timer_that_is_off_until_asked_for(server: Server) -> None:
    without = server.update("--auto", "on")
    assert without.code == 1 and "crontab" in without.stderr
    (server.folder / "root/run/systemd/system").mkdir(parents=True)
    (server.folder / "units").mkdir()
    assert server.update("--auto", "on").code == 0
    service = (server.folder / "units/mtproto-update.service").read_text()
    assert f'"{server.home}/current/update.sh" --home "{server.home}" --unattended' in service and "@" not in service
    assert "systemctl enable --now mtproto-update.timer" in server.calls
    assert str(server.folder / "units/mtproto-update.timer") in (server.home / ".files").read_text()
    for _ in range(2):
        assert server.update("--auto", "off").code == 0
        assert list((server.folder / "units").iterdir()) == []


def test_the_panel_is_told_of_releases_and_its_button_starts_an_update(server: Server) -> None:
    told = server.home / "data/update.json"
    server.publish("v2")
    assert server.update().code == 0 and not told.exists(), "nobody asked for that"
    (server.folder / "root/run/systemd/system").mkdir(parents=True)
    (server.folder / "units").mkdir()
    server.publish("v3")
    assert server.update("--panel", "on").code == 0
    assert "systemctl enable --now mtproto-asked.path mtproto-news.timer" in server.calls
    assert f"PathExists={server.home}/data/update.wanted" in (server.folder / "units/mtproto-asked.path").read_text()
    now = json.loads(told.read_text())
    assert (now["installed"], now["newest"], now["result"]) == ("v2", "v3", "")
    (server.home / "data/update.wanted").write_text("v3")
    server.say("build-fails", "v3")
    assert server.update("--asked").code == 1
    assert not (server.home / "data/update.wanted").exists()
    now = json.loads(told.read_text())
    assert now["newest"] == "v3" and now["result"].startswith("the images of v3 could not be made ready")
    server.say("build-fails", "none")
    server.say("broken", "v3")
    assert server.update("--asked").code == 1
    assert "taken back: the panel of v3 did not answer" in json.loads(told.read_text())["result"]
    server.say("broken", "none")
    assert server.update("--asked").code == 0 and server.version == "v3"
    assert json.loads(told.read_text())["result"] == "updated from v2 to v3"
    assert server.update("--panel", "off").code == 0
    assert not told.exists() and list((server.folder / "units").iterdir()) == []


def test_a_folder_without_an_installation_is_told_so(server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = server.update("--home", str(tmp_path / "empty"))
    assert done.code == 1 and f"there is no installation in {tmp_path}/empty" in done.stderr
    assert list((tmp_path / "empty").iterdir()) == []
