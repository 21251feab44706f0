"""An older installation with its panel and proxies in containers becomes this one: nobody needs another link."""

from __future__ import annotations

import json

import pytest

from app.mtproto.secret import Secret
from tests.server import installation
from tests.server.carried import names
from tests.server.container import DOOR, Container
from tests.server.installation import ADDRESS
from tests.server.test_killed import kill_when, logged
from tests.support.docker_lab import eventually
from tests.support.stream import trouble

pytestmark = pytest.mark.timeout(1500)

OLD = "/root/old panel"
USERS = {name: {"name": name, "port": port, "secret": Secret.generate("www.example.com").hex}
         for name, port in (("Алиса", 3443), ("Bob", 3444))}
CONFIG = {"admin_username": "boss", "admin_password_hash": "pbkdf2:sha256:1$x$y", "secret_key": "k" * 32,
          # As somebody wrote them once.
          "server_domain": f"https://{ADDRESS}/", "server_ip": "", "fake_tls_domain": "",
          "proxy_port": 3443, "upstream_socks5": f"{DOOR}:1080", "users": list(USERS.values())}


def start_older(machine: Container) -> None:
    """A panel that publishes a port and has the folder, and a proxy for each user, as older versions started them."""
    image, files = names(), {"data/config.json": json.dumps(CONFIG, ensure_ascii=False).encode()}
    for user in USERS.values():
        files[f"{user['port']}.toml"] = (f'secret = "{user["secret"]}"\nbind-to = "0.0.0.0:3128"\n'
                                         f'[network]\nproxies = ["socks5://{DOOR}:1080"]\n').encode()
    machine.put(OLD, files)
    machine.run(f"docker run -d --restart unless-stopped --name old-panel -p 8080:8080 -v '{OLD}/data:/data' "
                f"{image['PYTHON_IMAGE']} python3 -m http.server 8080")
    for port in (user["port"] for user in USERS.values()):
        machine.run(f"docker run -d --restart unless-stopped --name mtg-proxy-{port} -p {port}:3128 "
                    f"-v '{OLD}/{port}.toml:/config/config.toml:ro' {image['MTG_IMAGE']} /mtg run /config/config.toml")
    machine.run("sync")


def test_an_older_installation_is_taken_over_whatever_happens_to_the_power_meanwhile(empty_machine: Container) -> None:
    machine = empty_machine
    start_older(machine)
    links = {user["name"]: f"tg://proxy?server={ADDRESS}&port={user['port']}&secret={user['secret']}"
             for user in USERS.values()}
    for link in links.values():
        eventually(lambda link=link: trouble(link) == "", "the older proxy serves")
    installation.put_checkout(machine, installation.VERSION)
    command = installation.installer_command("--take-over", OLD)
    kill_when(machine, command, logged("stopping the older panel"), 0)
    machine.boot()
    for link in links.values():
        eventually(lambda link=link: trouble(link) == "", "the older proxies are back with the machine")

    said = installation.run_installer(machine, "--take-over", OLD)

    assert "leads to Telegram" in said, said
    # Each is replaced in a pass of the panel's; nothing of theirs is left to be replaced then.
    machine.wait_for("test $(docker ps -q --filter label=mtproto.user | wc -l) = 2")
    users = installation.panel(machine, "user", "list")
    assert {user["name"]: user["tg_link"] for user in users} == links
    for link in links.values():
        assert trouble(link) == ""
    state = machine.run("docker inspect --format '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}' old-panel")
    assert state == "false no"
    assert json.loads(machine.read(f"{OLD}/data/config.json")) == CONFIG, "the older one stays as it was"
