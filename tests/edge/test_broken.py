"""Configurations that can't work, and moments at which things break: what nginx served before is served on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.edge.base import EdgeConfig, EdgeFailure, EdgeUnavailable
from app.edge.nginx import edge as nginx_module
from app.edge.nginx.edge import Nginx
from app.edge.nginx.folder import Folder
from app.runtimes.docker.service import Service
from tests.support import edge_lab
from tests.support.docker_lab import eventually
from tests.support.edge_backend import Backend, Call
from tests.support.edge_lab import Authority, Lab
from tests.support.problems import codes


@dataclass
class Scene:
    """What worked before: `site` is served, `call` is a connection through port 443 that goes on."""

    lab: Lab
    site: EdgeConfig
    call: Call
    authority: Authority
    version: str = ""
    current: str = ""

    def other(self, **changes: object) -> EdgeConfig:
        """The site with one more user, and these changes."""
        more = {**self.site.routes, "new.pool.test": self.site.routes["www.pool.test"]}
        return replace(self.site, **{"routes": more, **changes})

    def remember(self) -> None:
        self.version, self.current = self.lab.nginx.served(), os.readlink(self.lab.folder / "current")

    def starts(self) -> bool:
        """Whether nginx would start with what is in the folder now."""
        return self.lab.nginx.service.run(["nginx", "-t", "-q"])[0] == 0

    def assert_served(self) -> None:
        """Old and new connections, and the cover site, are as before."""
        assert self.call.echoes(b"streaming on")
        with Call(self.lab.address(443), "www.pool.test") as new:
            assert new.met == "alice" and new.echoes()
        assert self.lab.page("example.com", trusted=self.authority.file)[0] == 200

    def assert_unchanged(self) -> None:
        self.assert_served()
        assert self.lab.nginx.served() == self.version
        assert os.readlink(self.lab.folder / "current") == self.current
        assert not os.path.lexists(self.lab.folder / "staged")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    base = tmp_path_factory.mktemp("broken")
    folder, authority = base / "nginx", Authority(base)
    folder.mkdir()
    # A small disk of its own, so that it can be full.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)], check=True)
    try:
        with edge_lab.lab(folder) as lab:
            backend = Backend("alice", lab.gateway)
            site = EdgeConfig(routes={"www.pool.test": backend.address}, own_names=("example.com",),
                        panel_domain="panel.example.org",
                        certificates=(authority.certificate("panel", "panel.example.org"),
                                      authority.certificate("cover-1", "example.com")))
            lab.nginx.apply(site)
            with Call(lab.address(443), "www.pool.test") as call:
                yield Scene(lab, site, call, authority)
            backend.stop()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def scene(world: Scene) -> Iterator[Scene]:
    world.lab.nginx.apply(world.site)
    world.remember()
    yield world
    shutil.rmtree(world.lab.folder / "custom.d")


def custom(text: str) -> Callable[[Scene], EdgeConfig]:
    """A hand-written include with this text."""
    def write(scene: Scene) -> EdgeConfig:
        (scene.lab.folder / "custom.d" / "mine.conf").write_text(text)
        return scene.other()

    return write


def certificate(**changes: str) -> Callable[[Scene], EdgeConfig]:
    """The cover's certificate, with something wrong about it."""
    def spoil(scene: Scene) -> EdgeConfig:
        panel, cover = scene.site.certificates
        return scene.other(certificates=(panel, replace(cover, **changes)))

    return spoil


def key_of_another(scene: Scene) -> EdgeConfig:
    panel, cover = scene.site.certificates
    return scene.other(certificates=(panel, replace(cover, key=panel.key)))


def two_of_a_name(scene: Scene) -> EdgeConfig:
    panel, cover = scene.site.certificates
    return scene.other(certificates=(panel, replace(cover, name="panel")))


def with_route(name: str, address: str = "mtg-proxy-2443:3128") -> Callable[[Scene], EdgeConfig]:
    return lambda scene: scene.other(routes={**scene.site.routes, name: address})


def a_folder_for_a_file(scene: Scene) -> EdgeConfig:
    (scene.lab.folder / "custom.d" / "mine.conf").mkdir()
    return scene.other()


def a_link_to_nothing(scene: Scene) -> EdgeConfig:
    (scene.lab.folder / "custom.d" / "mine.conf").symlink_to("/nowhere.conf")
    return scene.other()


BROKEN = {
    "a name with a space": (with_route("www pool.test"), "'www pool.test'"),
    "a name that ends the block": (with_route("a.test;}"), "'a.test;}'"),
    "a name that is an address": (with_route("192.0.2.1"), "IP address"),
    "a name twice, in two cases": (with_route("WWW.pool.test"), "has to be written www.pool.test"),
    "a name that is too long": (with_route(f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.test"), "characters"),
    "the panel's own name": (with_route("panel.example.org"), "panel's own name"),
    "an address that is a directive": (with_route("a.test", "x:1; deny all"), "HOST:PORT"),
    "a chain that is garbage": (certificate(chain="garbage"), "certs/cover-1.pem can't be read"),
    "a chain that is missing": (certificate(chain=""), "certs/cover-1.pem can't be read"),
    "a key that is garbage": (certificate(key="garbage"), "certs/cover-1.key can't be read"),
    "a key of another certificate": (key_of_another, "does not belong to its certificate"),
    "two certificates of one name": (two_of_a_name, "two certificates are called 'panel'"),
    "a certificate with a path for a name": (certificate(name="../../x"), "'../../x'"),
    "a site to show that is none": (lambda s: s.other(cover_site="proxy", cover_url="http://a"), "cover_url"),
    "a site that is this one": (lambda s: s.other(cover_site="proxy", cover_url="https://example.com"), "leads back"),
    "hours that are no time": (lambda s: s.other(nginx_worker_hours=10 ** 15), "main.d/limits.conf, line 2"),
    "a syntax error in an include": (custom("server {\n  lisen 80;\n}\n"),
                                     'custom.d/mine.conf, line 2 (lisen 80;): unknown directive "lisen"'),
    "an include without an end": (custom("server {\n  listen 80;\n"), 'custom.d/mine.conf, line 3: unexpected end'),
    "an include that claims the default": (custom("server { listen 80 default_server; }"), "duplicate default server"),
    "an include with a certificate that is not there": (
        custom("server { listen 444 ssl; ssl_certificate /x.pem; ssl_certificate_key /x.key; }"),
        "/x.pem can't be read"),
    "an include with an address of somebody else": (custom("server { listen 192.0.2.1:81; }"), "192.0.2.1:81"),
    "a folder among the includes": (a_folder_for_a_file, "mine.conf can't be written or read (Is a directory)"),
    "a link to nothing among the includes": (a_link_to_nothing, "mine.conf can't be written or read (No such file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_configuration_that_is_broken_is_refused_with_the_reason_and_touches_nobody(scene: Scene, name: str):
    broken, words = BROKEN[name]
    with pytest.raises(EdgeFailure) as refused:
        scene.lab.nginx.apply(broken(scene))
    assert words in str(refused.value)
    assert not isinstance(refused.value, EdgeUnavailable)
    scene.assert_unchanged()


def test_an_include_that_was_broken_by_an_edit_does_not_keep_nginx_from_starting(scene: Scene):
    custom("server {\n  lisen 80;\n}\n")(scene)
    assert scene.starts(), "what is served is what passed the check, not what lies in custom.d"


@contextlib.contextmanager
def full_disk(scene: Scene) -> Iterator[Nginx]:
    filler = scene.lab.folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    yield scene.lab.nginx
    filler.unlink()


@contextlib.contextmanager
def no_right_to_write(scene: Scene) -> Iterator[Nginx]:
    os.seteuid(65534)
    yield scene.lab.nginx
    os.seteuid(0)


@contextlib.contextmanager
def another_folder(scene: Scene) -> Iterator[Nginx]:
    folder = scene.lab.folder.parent / "another"
    yield Nginx(folder, scene.lab.nginx.service, scene.lab.ip)
    shutil.rmtree(folder)


@contextlib.contextmanager
def a_port_that_is_taken(scene: Scene) -> Iterator[Nginx]:
    """The check can't see this one: nginx that is checked does not mind ports in use."""
    text = "error_log /dev/null; pid /run/other.pid; events {} http { access_log off; server { listen 9999; } }"
    run = scene.lab.nginx.service.run
    assert run(["sh", "-c", f"echo '{text}' >/run/other.conf && nginx -c /run/other.conf"])[0] == 0
    custom("server { listen 9999; }")(scene)
    before = len(scene.lab.log())
    yield scene.lab.nginx
    # It tries for two seconds and a half, and takes the port after all if that becomes free meanwhile.
    eventually(lambda: "still could not bind" in scene.lab.log()[before:], "nginx gives up")
    run(["nginx", "-c", "/run/other.conf", "-s", "stop"])


@contextlib.contextmanager
def a_signal_that_is_not_heard(scene: Scene) -> Iterator[Nginx]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Service, "signal", lambda self, name: None)
        patch.setattr(nginx_module, "RELOAD_SECONDS", 0.5)
        yield scene.lab.nginx


@pytest.mark.parametrize("trouble, told, words", [
    (full_disk, ["nginx.folder", "nginx.its_folder"], "No space left on device"),
    (no_right_to_write, ["nginx.folder"], "Permission denied"),
    (another_folder, ["nginx.not_mounted"], "/etc/nginx/edge"),
    (a_signal_that_is_not_heard, ["nginx.cant_serve", "nginx.silent"], "0.5 seconds"),
    (a_port_that_is_taken, ["nginx.cant_serve", "nginx.means"], "bind() to 0.0.0.0:9999 failed"),
])
def test_a_change_that_cannot_be_carried_out_is_said_and_undone(
        scene: Scene, trouble: Callable, told: list[str], words: str):
    with trouble(scene) as nginx, pytest.raises(EdgeFailure) as failed:
        nginx.apply(scene.other())
    assert codes(failed.value.problem)[:2] == told and words in str(failed.value)
    scene.assert_unchanged()


def test_an_nginx_or_an_engine_that_is_not_found_is_unavailable_and_nothing_is_written(scene: Scene):
    for service, words in ((Service("nginx", "no-such-network"), "docker compose up -d nginx"),
                           (Service("nginx", scene.lab.network, "unix:///nonexistent.sock"), "no Docker engine")):
        with pytest.raises(EdgeUnavailable, match=words):
            Nginx(scene.lab.folder, service, scene.lab.ip).apply(scene.other())
        scene.assert_unchanged()


def test_an_nginx_that_is_frozen_is_unavailable_and_goes_on_where_it_was(scene: Scene):
    scene.lab.api.pause(scene.lab.container)
    try:
        with pytest.raises(EdgeUnavailable):
            scene.lab.nginx.apply(scene.other())
    finally:
        scene.lab.api.unpause(scene.lab.container)
    scene.assert_unchanged()


def test_an_nginx_that_ends_in_the_middle_comes_back_with_what_it_served(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Service, "signal", lambda self, name: scene.lab.stop())
    with pytest.raises(EdgeUnavailable):
        scene.lab.nginx.apply(scene.other())
    monkeypatch.undo()
    scene.lab.start()
    scene.call.close()
    scene.call = Call(scene.lab.address(443), "www.pool.test")
    scene.assert_unchanged()
    assert scene.lab.nginx.apply(scene.other()) is True


@pytest.mark.parametrize("damage", ["the link is gone", "a file is gone", "a file was edited"])
def test_a_folder_that_was_damaged_is_repaired_while_nginx_serves_on(scene: Scene, damage: str):
    stream = scene.lab.folder / "current" / "stream.d" / "port443.conf"
    if damage == "the link is gone":
        (scene.lab.folder / "current").unlink()
    elif damage == "a file is gone":
        stream.unlink()
    else:
        stream.write_text("nonsense")
    assert scene.call.echoes()
    with Call(scene.lab.address(443), "www.pool.test") as new:
        assert new.met == "alice"
    assert scene.lab.nginx.apply(scene.site) is True
    scene.assert_served()
    assert scene.starts() and scene.lab.nginx.apply(scene.site) is False


# Several at once, and ends at any moment


def in_a_child(work: Callable[[], None]) -> int:
    """Run this in a process of its own; its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def test_processes_that_change_it_at_once_take_turns(scene: Scene):
    def change(name: str) -> None:
        # Connections of its own: the parent's can't be shared.
        nginx = Nginx(scene.lab.folder, Service("nginx", scene.lab.network), scene.lab.ip)
        nginx.apply(scene.other(routes={**scene.site.routes, name: "mtg-proxy-2443:3128"}))

    children = [in_a_child(lambda name=name: change(name)) for name in ("a.test", "b.test", "c.test")]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert scene.lab.nginx.served() == (scene.lab.folder / "current" / "version").read_text()
    scene.assert_served()
    assert len(list((scene.lab.folder / "versions").iterdir())) <= 2


#: What an apply does to the folder and to nginx, one by one.
STEPS = ((os, "rename"), (os, "replace"), (shutil, "rmtree"), (Service, "run"), (Service, "signal"))


def dies_at(number: int, folder: Path, scene: Scene, site: EdgeConfig) -> bool:
    """Apply `site` in a process that is ended before its step `number`; whether it came that far."""
    def work() -> None:
        left = [number]
        for owner, name in STEPS:
            original: Callable = getattr(owner, name)

            def step(*args: object, original: Callable = original, **options: object) -> object:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(9)
                return original(*args, **options)

            setattr(owner, name, step)
        Nginx(folder, Service("nginx", scene.lab.network), scene.lab.ip).apply(site)

    return os.waitstatus_to_exitcode(os.waitpid(in_a_child(work), 0)[1]) == 9


def test_a_panel_that_is_killed_at_any_step_leaves_what_nginx_starts_with_and_the_next_one_completes(scene: Scene):
    sites = [scene.other(routes={**scene.site.routes, name: "mtg-proxy-2443:3128"}) for name in ("a.test", "b.test")]
    step = 1
    while dies_at(step, scene.lab.folder, scene, sites[step % 2]):
        assert scene.starts(), f"killed before step {step}"
        scene.assert_served()
        step += 1
        assert step < 40
    assert step > 7, "every step was counted"
    scene.lab.nginx.apply(sites[0])
    assert scene.lab.nginx.apply(sites[0]) is False
    assert scene.lab.nginx.served() == (scene.lab.folder / "current" / "version").read_text()
    assert len(list((scene.lab.folder / "versions").iterdir())) <= 2


def test_a_panel_killed_before_it_noted_what_nginx_serves_does_not_lead_a_later_failure_back_past_it(scene: Scene):
    def work() -> None:
        Folder.point = lambda self, name, version, real=Folder.point: \
            os._exit(9) if name == "served" else real(self, name, version)
        Nginx(scene.lab.folder, Service("nginx", scene.lab.network), scene.lab.ip).apply(scene.other())

    assert os.waitstatus_to_exitcode(os.waitpid(in_a_child(work), 0)[1]) == 9
    scene.remember()
    assert (scene.lab.folder / "current" / "version").read_text() == scene.version, "nginx serves it already"
    with a_signal_that_is_not_heard(scene) as nginx, pytest.raises(EdgeFailure):
        nginx.apply(scene.other(unknown_sni="close"))
    scene.assert_unchanged()


def test_what_lies_beside_its_own_files_is_nobodys_to_remove(scene: Scene):
    kept, left = scene.lab.folder / ".notes-2026", scene.lab.folder / ".current-4711"
    for file in (kept, left):
        file.write_text("x")
    scene.lab.nginx.apply(scene.other())
    assert kept.exists() and not left.exists()
    kept.unlink()
