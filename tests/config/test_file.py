"""The one door to data/config.json: nothing is lost, nothing is half written."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.config.file import KEPT_BACKUPS, ConfigError, ConfigFile
from app.messages import Problem

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(tmp_path) -> ConfigFile:
    file = ConfigFile(tmp_path / "data")
    file.prepare()
    return file


def run(code: str, *args: object) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], cwd=ROOT)


def test_the_first_start_makes_a_private_file_with_an_admin_who_can_log_in(file):
    config = file.read()
    assert config.initial_password and config.admin_password_hash and len(config.secret_key) == 64
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.path.read_text())["_initial_password"] == config.initial_password


def test_preparing_twice_changes_nothing(file):
    before = file.path.read_bytes()
    ConfigFile(file.data_dir).prepare()
    assert file.path.read_bytes() == before


def test_an_old_file_without_an_admin_gets_one_and_keeps_the_rest(tmp_path):
    (tmp_path / "config.json").write_text('{"server_ip": "203.0.113.7", "colour": "blue"}')
    file = ConfigFile(tmp_path)
    file.prepare()
    data = json.loads(file.path.read_text())
    assert data["server_ip"] == "203.0.113.7" and data["colour"] == "blue" and data["_initial_password"]


def test_an_edit_is_saved_and_the_previous_version_kept(file):
    with file.edit() as config:
        config.server_ip = "203.0.113.7"
    assert ConfigFile(file.data_dir).read().server_ip == "203.0.113.7"
    versions = [json.loads(p.read_text())["server_ip"] for p in sorted(file.backups.iterdir())]
    assert versions == ["", "203.0.113.7"]


def test_no_more_than_the_last_ten_versions_are_kept(file):
    for number in range(25):
        with file.edit() as config:
            config.proxy_port = 3000 + number
    kept = sorted(file.backups.iterdir())
    assert len(kept) == KEPT_BACKUPS
    assert json.loads(kept[-1].read_text())["proxy_port"] == 3024


def lines_with(file: ConfigFile, password: str) -> list[str]:
    return [path.name for path in file.data_dir.rglob("*") if path.is_file() and password in path.read_text()]


def test_the_first_password_leaves_the_backups_when_it_leaves_the_file_and_they_load_as_before(file):
    with file.edit() as config:
        config.server_ip = "203.0.113.7"
    password, hashed = file.read().initial_password, file.read().admin_password_hash
    assert len(lines_with(file, password)) == 3
    names = sorted(path.name for path in file.backups.iterdir())
    with file.edit() as config:
        config.initial_password = None
    assert lines_with(file, password) == []
    kept = sorted(file.backups.iterdir())
    assert [path.name for path in kept][:2] == names
    versions = [json.loads(path.read_text()) for path in kept]
    assert [v["server_ip"] for v in versions[:2]] == ["", "203.0.113.7"]
    assert all(v["admin_password_hash"] == hashed for v in versions)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)
    file.path.write_bytes(kept[0].read_bytes())
    assert ConfigFile(file.data_dir).read().server_ip == ""


def test_a_first_password_that_an_older_version_left_in_the_backups_goes_at_the_next_start(file):
    with file.edit() as config:
        password, config.initial_password = config.initial_password, None
    backup = sorted(file.backups.iterdir())[-1]
    data = json.loads(backup.read_text())
    backup.write_text(json.dumps({**data, "_initial_password": password}))
    (file.backups / "config-0.json").write_text(json.dumps({**data, "initial_password": password}))
    (file.backups / "config-1.json").write_text('{"_initial_password": ')
    ConfigFile(file.data_dir).prepare()
    assert lines_with(file, password) == []


def test_an_edit_that_fails_changes_nothing(file):
    before = file.path.read_bytes()
    with pytest.raises(RuntimeError):
        with file.edit() as config:
            config.proxy_port = 3000
            raise RuntimeError
    assert file.path.read_bytes() == before


def test_an_edit_that_breaks_a_rule_is_refused_in_words_and_changes_nothing(file):
    before = file.path.read_bytes()
    with pytest.raises(ConfigError, match="proxy_port: 70000 .* 1 to 65535"):
        with file.edit() as config:
            config.proxy_port = 70000
    assert file.path.read_bytes() == before


def test_a_hand_edit_is_noticed(file):
    assert file.read().proxy_port == 2443
    data = json.loads(file.path.read_text())
    file.path.write_text(json.dumps({**data, "proxy_port": 3000}))
    assert file.read().proxy_port == 3000


def test_a_user_written_in_by_hand_gets_an_id_and_a_port_for_good(file):
    data = json.loads(file.path.read_text())
    data["users"] = [{"name": "Bob", "secret": "ee" + "11" * 16 + b"www.example.com".hex()}]
    file.path.write_text(json.dumps(data))
    user = file.read().users[0]
    assert user.id and user.port == 2443
    assert json.loads(file.path.read_text())["users"][0]["id"] == user.id
    assert ConfigFile(file.data_dir).read().users[0].id == user.id


@pytest.mark.parametrize("content, words", [
    ('{"proxy_port": 2443,}', "line 1, column"),
    ('{"users": [', "line 1"),
    ("", "empty"),
    ("[]", "a list"),
    ('{"proxy_prot": 1}', "did you mean 'proxy_port'"),
])
def test_a_broken_file_is_told_with_the_last_good_version_and_never_overwritten(file, content, words):
    file.path.write_text(content)
    for attempt in (file.read, file.check, lambda: file.edit().__enter__()):
        with pytest.raises(ConfigError) as refused:
            attempt()
        assert words in str(refused.value)
        assert str(file.last_good_backup()) in str(refused.value)
    assert file.path.read_text() == content


def test_a_file_that_is_not_text_is_told_so(file):
    file.path.write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(ConfigError, match="not UTF-8"):
        file.read()


def test_a_folder_in_the_files_place_is_told(file):
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        file.read()


def test_a_lost_file_is_not_replaced_by_an_empty_one_while_backups_exist(file):
    file.path.unlink()
    with pytest.raises(ConfigError, match="Put the last one back: cp "):
        ConfigFile(file.data_dir).prepare()
    assert not file.path.exists()


def test_a_full_disk_refuses_the_edit_and_keeps_the_file(file):
    before = file.path.read_bytes()
    code = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from app.config.file import ConfigError, ConfigFile
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    with ConfigFile(sys.argv[1]).edit() as config:
        config.proxy_port = 3000
except ConfigError as error:
    assert "can't be saved" in str(error) and "Nothing was changed" in str(error), error
    sys.exit(3)
"""
    assert run(code, file.data_dir).wait(120) == 3
    assert file.path.read_bytes() == before


def test_unknown_fields_are_reported_by_check(file):
    with file.edit() as config:
        config.colour = "blue"
    assert file.check() == [Problem("config.unknown_kept", {"field": "colour"})]


COUNT_UP = """
import sys
from app.config.file import ConfigFile
file = ConfigFile(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with file.edit() as config:
        config.traffic_limit_gb += 1
"""


@pytest.mark.slow
@pytest.mark.timeout(600)  # thousands of fsyncs: how long that takes is the disk's affair
def test_two_writers_of_500_edits_each_lose_none(file):
    writers = [run(COUNT_UP, file.data_dir, 500) for _ in range(2)]
    assert [w.wait(500) for w in writers] == [0, 0]
    assert file.read().traffic_limit_gb == 1000


#: For every line it is given, a new process that counts up for ever; it says the process, and when it has ended.
FORK_WRITERS = """
import os
from app.config.file import ConfigFile
for line in sys.stdin:
    writer = os.fork()
    if not writer:
        break
    print(writer, flush=True)
    os.waitpid(writer, 0)
    print("ended", flush=True)
else:
    sys.exit()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_killed_at_any_point_never_leaves_a_file_that_does_not_load(file):
    random.seed(7)
    last = 0.0
    # Starting Python takes longer than the write under test: the writers are forks of one that has started.
    with subprocess.Popen([sys.executable, "-c", "import sys" + FORK_WRITERS + COUNT_UP, file.data_dir, "9999"],
                          cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writers:
        for round_ in range(200):
            print(file=writers.stdin, flush=True)
            writer = int(writers.stdout.readline())
            if round_ % 10 == 0:
                wait_for_an_edit_after(file, last)
            time.sleep(random.uniform(0, 0.15))
            os.kill(writer, signal.SIGKILL)
            assert writers.stdout.readline() == "ended\n"
            current = ConfigFile(file.data_dir).read().traffic_limit_gb
            assert current >= last
            last = current
    assert last > 0
    for backup in file.backups.glob("config-*.json"):
        json.loads(backup.read_text())


def wait_for_an_edit_after(file: ConfigFile, count: float) -> None:
    deadline = time.monotonic() + 120
    while file.read().traffic_limit_gb <= count:
        assert time.monotonic() < deadline, "the writer wrote nothing"
        time.sleep(0.005)
