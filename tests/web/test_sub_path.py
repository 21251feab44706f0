"""The panel under a sub-path of somebody's own site: behind a real nginx, in a real browser."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from app import create_app
from app.cli.instance import listen
from app.cli.server import Server
from app.runtimes.ports import bind_error
from tests.support.fleet import Fleet
from tests.web.desk import open_desk

#: As docs/https.md has it, beside another site.
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
{location}
    }}
}}
"""


def location_of_the_docs(port: int) -> str:
    page = (Path(__file__).parents[2] / "docs/https.md").read_text()
    block = page.split("```nginx\n", 1)[1].split("```", 1)[0]
    assert "location /panel/" in block and "127.0.0.1:8080" in block
    return block.replace("127.0.0.1:8080", f"127.0.0.1:{port}")


@pytest.fixture
def site(fleet: Fleet, tmp_path: Path, free_port: Callable[[], int],
         monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the panel, under /panel of an nginx."""
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "127.0.0.1")
    port = free_port()
    with listen("127.0.0.1", 0) as listener:
        server = Server(create_app(fleet), listener)
        thread = threading.Thread(target=server.run)
        thread.start()
        (tmp_path / "nginx").mkdir()
        (tmp_path / "nginx.conf").write_text(NGINX.format(
            folder=tmp_path / "nginx", port=port, location=location_of_the_docs(listener.getsockname()[1])))
        nginx = subprocess.Popen(["nginx", "-p", str(tmp_path / "nginx"), "-c", str(tmp_path / "nginx.conf")])
        while not bind_error(f"127.0.0.1:{port}"):
            assert nginx.poll() is None, (tmp_path / "nginx/error.log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/panel"
        nginx.terminate()
        nginx.wait(60)
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
        thread.join()


def test_everything_works_under_a_sub_path(chromium: Browser, site: str, fleet: Fleet) -> None:
    # The window notes every request that leaves the sub-path.
    context, desk = open_desk(chromium, site)
    try:
        desk.go("/users?q=Bob")
        assert desk.page.url == f"{site}/login?next=/panel/users?q%3DBob"
        desk.page.get_by_label("Name").fill("ada")
        desk.page.get_by_label("Password").fill("correct horse battery")
        with desk.next_page():
            desk.page.get_by_role("button", name="Log in").click()
        assert desk.page.url == f"{site}/users?q=Bob"
        assert [cookie["path"] for cookie in context.cookies() if cookie["name"].startswith("s")] == ["/panel"]
        desk.go("/users/new")
        desk.page.get_by_label("Name").fill("Bob")
        with desk.next_page():
            desk.page.get_by_role("button", name="Add").click()
        assert desk.page.url == f"{site}/users/{fleet.user('Bob').id}"
        # What changes by itself is fetched under the sub-path, too.
        with desk.page.expect_response(lambda response: response.url.endswith("/state")) as fetched:
            pass
        assert fetched.value.ok
        for page in ("Dashboard", "Users", "Logs", "Settings"):
            with desk.next_page():
                desk.page.get_by_role("link", name=page, exact=True).click()
            assert desk.page.url.startswith(site)
        with desk.next_page():
            desk.page.get_by_role("button", name="Log out").click()
        assert desk.page.url == f"{site}/login"
    finally:
        context.close()
    assert desk.complaints == []
