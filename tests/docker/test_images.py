"""The two images, built from the repository's own Dockerfiles on bases made here (tests/docker/images.py)."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from app.runtimes.docker import spec as docker_spec
from tests.docker import images
from tests.docker.images import ROOT, ImageFailure, docker

#: Making the bases the first time on a machine takes about two minutes.
pytestmark = pytest.mark.timeout(600)

#: How the panel runs a proxy (app/runtimes/docker/spec.py), but for labels and limits.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--volume", "/config")
MARK = "marker-of-a-secret-6b1f"


@pytest.fixture(scope="module")
def panel() -> str:
    images.ensure_engine()
    return images.build_panel()


@pytest.fixture(scope="module")
def mtg() -> Iterator[str]:
    """Dockerfile.mtg on a base made here; its mtg says what it was told, and shows the file it was given."""
    images.ensure_engine()
    base = images.ensure_base()
    program = b'#!/bin/sh\necho "mtg $*"\nif [ "$1" = run ]; then cat "$2"; fi\n'
    source = images.build("mtg-image", "FROM scratch\nCOPY mtg /mtg\n", {"mtg": program}, {}, ("mtg",))
    arguments = ("VERSION=v9", f"MTG_IMAGE={source}", f"BASE_IMAGE={base}")
    tag = f"mtproto-test/dockerfile-mtg:{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--file", str(ROOT / "Dockerfile.mtg"), "--tag", tag,
           *build_arguments(arguments), str(ROOT))
    yield tag
    docker("image", "rm", "--no-prune", tag)


@pytest.fixture
def container() -> Iterator[Callable[..., str]]:
    """Call it with the arguments of `docker create`: the id of a container, removed after the test."""
    made = []

    def create(*arguments: str) -> str:
        made.append(docker("create", "--label", "mtproto-test=images", "--env", "MTPROTO_TIME_SITES=none", *arguments))
        return made[-1]

    yield create
    for name in made:
        docker("rm", "--force", "--volumes", name)


def build_arguments(arguments: Iterable[str]) -> list[str]:
    return [part for argument in arguments for part in ("--build-arg", argument)]


def config(image: str) -> dict:
    return json.loads(docker("image", "inspect", image))[0]["Config"]


def inside(image: str, script: str) -> str:
    """What a Python script prints in a container of the panel's image, run by root to see everything."""
    return docker("run", "--rm", "--user", "0", "--network", "none", image, "python3", "-c", script)


def wait_for(read: Callable[[], str], wanted: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while (seen := read()) != wanted:
        assert time.monotonic() < end, f"still {seen!r} instead of {wanted!r} after {seconds:g} s"
        time.sleep(0.3)


# The panel's image


def test_the_panel_is_not_root(panel: str) -> None:
    assert docker("run", "--rm", "--network", "none", panel, "id", "-u") == "10001"
    assert config(panel)["User"] == "10001:10001"


def test_the_panel_can_change_nothing_but_its_data(panel: str) -> None:
    script = ("import os; print([d for top in ('/opt', '/venv', '/etc', '/usr') for d, _, _ in os.walk(top) "
              "if os.access(d, os.W_OK)], os.access('/data', os.W_OK))")
    assert docker("run", "--rm", "--network", "none", panel, "python3", "-c", script) == "[] True"


def test_the_health_check_notices_a_panel_that_answers_and_one_that_hangs(
        panel: str, container: Callable[..., str]) -> None:
    name = container("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--health-interval", "1s",
                     "--health-timeout", "2s", "--health-retries", "2", "--health-start-period", "0s", panel)
    docker("start", name)

    def health() -> str:
        return docker("inspect", "--format", "{{.State.Health.Status}}", name)

    wait_for(health, "healthy")
    # Stopped, not ended: the port still accepts connections.
    docker("kill", "--signal", "STOP", name)
    wait_for(health, "unhealthy")


def test_a_panel_that_may_not_use_the_socket_stays_up_and_says_so(
        panel: str, container: Callable[..., str]) -> None:
    """DOCKER_GID is wrong: what an operator sees first if they forget it."""
    socket = "/var/run/docker.sock"
    name = container("--env", "MTPROTO_RUNTIME=docker", "--volume", f"{socket}:{socket}", panel)
    docker("start", name)
    ask = ("exec", name, "python3", "-c",
           "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8080/healthz').status)")

    def answers() -> str:
        try:
            return docker(*ask)
        except ImageFailure:
            return ""

    wait_for(answers, "200")
    status = json.loads(docker("exec", name, "python3", "-m", "app.cli", "status", "--json"))
    assert "the panel may not use the Docker engine" in " ".join(status["problems"])


def test_the_panel_prints_how_to_see_its_first_password_and_ends_within_seconds(
        panel: str, container: Callable[..., str]) -> None:
    name = container(panel)
    docker("start", name)
    wait_for(lambda: str("first-password" in docker("logs", name)), "True")
    password = json.loads(docker("exec", name, "python3", "-m", "app.cli", "first-password", "--json"))["password"]
    assert password and password not in docker("logs", name)
    started = time.monotonic()
    docker("stop", "--time", "60", name)
    assert time.monotonic() - started < 50, "SIGTERM was not heard: docker would have had to kill it"
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0"


def test_the_panels_image_holds_what_it_runs_on_and_nothing_of_development(panel: str) -> None:
    found = json.loads(inside(panel, (
        "import json, pathlib, shutil; top = pathlib.Path('/opt/panel'); print(json.dumps({"
        "'top': sorted(p.name for p in top.iterdir()),"
        "'suffixes': sorted({p.suffix for p in top.rglob('*') if p.is_file()}),"
        "'frontend': (top / 'app/web/frontend').exists(),"
        "'stylesheet': (top / 'app/web/static/build/panel.css').stat().st_size,"
        "'build': sorted(p.name for p in (top / 'app/web/static/build').iterdir()),"
        "'chart': (top / 'app/web/static/build/vendor/uplot.js').stat().st_size,"
        "'tools': [t for t in ('node', 'npm', 'pip', 'gcc', 'git', 'pytest') if shutil.which(t)]}))")))
    assert found["top"] == ["__pycache__", "app", "nginx", "wsgi.py"]
    assert set(found["suffixes"]) <= {".py", ".pyc", ".html", ".css", ".js", ".svg", ".png", ".ico", ".po", ".j2",
                                      ".woff2", ".txt", ".webmanifest"}
    assert found["frontend"] is False and found["tools"] == []
    assert found["stylesheet"] > 5_000 and found["chart"] > 5_000 and found["build"] == ["panel.css", "vendor"]


def test_nothing_else_of_a_checkout_gets_into_the_image(panel: str, tmp_path: Path) -> None:
    for name in ("Dockerfile", ".dockerignore", "wsgi.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "app", tmp_path / "app",
                    ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    shutil.copytree(ROOT / "nginx/templates", tmp_path / "nginx/templates")
    for planted in ("data/config.json", ".env", ".git/config", "tests/test_x.py", "nginx/my.conf", "backup.sql",
                    "id_rsa", "app/web/frontend/node_modules/x/index.js", "app/web/static/build/old.css",
                    "app/__pycache__/stale.cpython-311.pyc", "app/web/.users.py.swp"):
        (tmp_path / planted).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / planted).write_text(MARK)
    arguments = [f"{key}={value}" for key, value in images.panel_arguments().items()]
    tag = f"mtproto-test/planted:{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--tag", tag, *build_arguments(arguments), str(tmp_path))
    try:
        script = ("import pathlib; "
                  "print([str(p) for top in ('/opt', '/data', '/tmp', '/venv', '/srv', '/root') "
                  f"for p in pathlib.Path(top).rglob('*') if p.is_file() and b'{MARK}' in p.read_bytes()])")
        assert inside(tag, script) == "[]"
    finally:
        docker("image", "rm", tag)


def test_the_history_of_the_panels_image_tells_no_mirror_and_no_password(panel: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", panel)
    assert "MTPROTO_DATA_DIR=/data" in history, "this is the history of the image"
    told = history.replace("--no-password", "")  # an option
    assert not re.search(r"PIP_INDEX_URL|NPM_REGISTRY|password|token|secret", told, re.IGNORECASE)


def test_a_mirror_of_the_package_index_is_the_one_that_is_asked(panel: str, tmp_path: Path) -> None:
    """Nobody listens there, so a build that succeeds has asked somebody else."""
    (tmp_path / "requirements.txt").write_text("a-package-of-nobody==1\n")
    # The file's own first stage, alone: the others are the same for every index.
    stage = re.search(r"^FROM \$\{PYTHON_IMAGE\} AS packages\n.*?pip uninstall[^\n]*\n",
                      (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "Dockerfile").write_text("ARG PYTHON_IMAGE\n" + stage)
    with pytest.raises(ImageFailure, match=r"Looking in indexes: http://127\.0\.0\.1:9/simple/"):
        docker("build", "--quiet", "--force-rm", "--build-arg", f"PYTHON_IMAGE={images.ensure_python()}",
               "--build-arg", "PIP_INDEX_URL=http://127.0.0.1:9/simple/", str(tmp_path))


def test_the_images_say_what_they_are_and_of_which_version(mtg: str, panel: str) -> None:
    assert config(panel)["Labels"]["org.opencontainers.image.title"] == "MTProto Proxy Manager"
    labels = config(mtg)["Labels"]
    assert labels["org.opencontainers.image.title"] == "mtg-custom"
    assert labels["org.opencontainers.image.version"] == "v9"
    assert labels["mtg.source-image"].startswith("mtproto-test/mtg-image:")


# mtg-custom


def test_mtg_custom_runs_mtg_with_its_configuration_file(mtg: str, container: Callable[..., str]) -> None:
    """As the panel runs it: the file is put into a volume before the start, the rest can't be written."""
    name = container("--network", "none", *HARDENED, mtg)
    docker("cp", "-", f"{name}:/config", stdin=docker_spec.archive({"config.toml": MARK}))
    assert docker("start", "--attach", name) == f"mtg run /config/config.toml\n{MARK}"


def test_mtg_custom_is_not_root_and_has_the_tools_for_speed_and_addresses(mtg: str) -> None:
    def output(*arguments: str) -> str:
        return docker("run", "--rm", "--network", "none", *arguments)

    assert output("--entrypoint", "id", mtg, "-u") == "65534"
    assert output("--entrypoint", "tc", mtg, "-Version").startswith("tc utility, iproute2")
    assert output("--user", "0", "--entrypoint", "nft", mtg, "--version").startswith("nftables v")
    assert output(mtg, "--version") == "mtg --version"


def test_the_stand_in_for_mtg_custom_is_started_like_the_real_one(mtg: str) -> None:
    real, stand_in = config(mtg), config(images.build_mtg_custom())
    for key in ("User", "Entrypoint", "Cmd", "WorkingDir", "Volumes", "ExposedPorts", "Healthcheck"):
        assert real.get(key) == stand_in.get(key), key


def test_the_health_check_of_mtg_custom_asks_for_its_metrics(mtg: str, container: Callable[..., str]) -> None:
    toml = ('secret = "ee000102030405060708090a0b0c0d0e0f636f7665722e74657374"\nbind-to = "0.0.0.0:3128"\n'
            '[stats.prometheus]\nenabled = true\nbind-to = "0.0.0.0:3129"\nhttp-path = "/"\n')
    often = ("--health-interval", "1s", "--health-retries", "2", "--health-start-period", "0s")
    healthy = container(*often, *HARDENED, images.build_mtg_custom())
    silent = container(*often, *HARDENED, "--entrypoint", "sleep", mtg, "600")
    docker("cp", "-", f"{healthy}:/config", stdin=docker_spec.archive({"config.toml": toml}))
    docker("start", healthy, silent)
    for name, state in ((healthy, "healthy"), (silent, "unhealthy")):
        wait_for(lambda: docker("inspect", "--format", "{{.State.Health.Status}}", name), state)
    assert "mtg_client_connections" in docker("exec", healthy, "bash", "-c", (
        "exec 3<>/dev/tcp/127.0.0.1/3129; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"))


# telemt's image


@pytest.mark.parametrize("given", ["program", "source"])
def test_telemt_s_image_is_made_from_a_program_or_from_an_archive_of_the_source(given: str, tmp_path: Path) -> None:
    images.ensure_engine()
    base = images.ensure_base()
    program = b'#!/bin/sh\necho "telemt $*"\n'
    cargo = b'#!/bin/sh\nmkdir -p /target/release\ncp "$(dirname "$5")/src" /target/release/telemt\n'
    if given == "program":
        (tmp_path / "telemt").write_bytes(program)
        arguments = ["TELEMT=telemt", f"BUILD_IMAGE={base}"]
    else:
        packed = images.archive({"telemt-9/Cargo.toml": b"", "telemt-9/src": program})
        (tmp_path / "telemt.tar.gz").write_bytes(gzip.compress(packed))
        builder = images.build("cargo", f"FROM {base}\nCOPY cargo /usr/local/bin/cargo\n", {"cargo": cargo}, {},
                               ("cargo",))
        arguments = ["TELEMT=telemt.tar.gz", f"BUILD_IMAGE={builder}"]
    tag = f"mtproto-test/dockerfile-telemt:{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--file", str(ROOT / "Dockerfile.telemt"), "--tag", tag,
           *build_arguments(["VERSION=v9", f"BASE_IMAGE={base}", *arguments]), str(tmp_path))
    try:
        assert docker("run", "--rm", "--network", "none", *HARDENED, tag) == "telemt run /config/config.toml"
        assert config(tag)["User"] == "65534:65534"
        assert config(tag)["Healthcheck"]["Test"] == ["CMD", "/app/telemt", "healthcheck", "/config/config.toml",
                                                      "--mode", "liveness"]
    finally:
        docker("image", "rm", "--no-prune", tag)


#: What stands for MTProxy's source: its program says how it was called.
_MTPROXY_SOURCE = {"MTProxy-9/Makefile": b"""
all:
\tmkdir -p objs/bin
\t$(CC) -o objs/bin/mtproto-proxy main.c
""", "MTProxy-9/main.c": b"""
#include <stdio.h>
int main(int count, char **words) { for (int i = 1; i < count; i++) puts(words[i]); return 0; }
"""}


def test_mtproxys_image_is_made_from_an_archive_of_its_source_and_starts_it_on_the_panels_files(
        tmp_path: Path) -> None:
    base = images.ensure_base()
    shutil.copytree(ROOT / "host/images/mtproxy", tmp_path / "host/images/mtproxy")
    (tmp_path / "mtproxy.tar.gz").write_bytes(gzip.compress(images.archive(_MTPROXY_SOURCE)))
    tag = f"mtproto-test/dockerfile-mtproxy:{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--file", str(ROOT / "Dockerfile.mtproxy"), "--tag", tag,
           *build_arguments(["VERSION=v9", f"BASE_IMAGE={base}", "MTPROXY_SOURCE=mtproxy.tar.gz"]), str(tmp_path))
    try:
        told = config(tag)
        assert (told["User"], told["Healthcheck"]["Test"]) == ("65534:65534", ["CMD", "/usr/local/bin/mtproxy-health"])
        files = ("mkdir /tmp/c; printf '%s\\n' -H 3128 -C 70 >/tmp/c/arguments; echo eHg= >/tmp/c/proxy-secret.b64; "
                 "MTPROXY_ADDRESS=203.0.113.7 exec mtproxy-run /tmp/c")
        said = docker("run", "--rm", *HARDENED, "--tmpfs", "/tmp", "--entrypoint", "bash", tag, "-c",
                      files).splitlines()
        assert said[:6] == ["-c", "1140", "-H", "3128", "-C", "70"]
        assert said[6] == "--nat-info" and re.fullmatch(r"[\d.]+:203\.0\.113\.7", said[7])
        assert said[8:] == ["--aes-pwd", "/dev/shm/proxy-secret", "/tmp/c/proxy-multi.conf"]
    finally:
        docker("image", "rm", "--no-prune", tag)


#: Stands in for Alpine's package manager: names of Debian's, and a compiler for Alpine's C library.
_APK = b"""#!/bin/sh
apt-get update -qq
case "$*" in
    *musl-dev*) apt-get install -y -qq --no-install-recommends gcc make musl-tools
        printf '#!/bin/sh\\nexec musl-gcc "$@"\\n' >/usr/local/bin/gcc; chmod +x /usr/local/bin/gcc ;;
    *) apt-get install -y -qq --no-install-recommends musl socat ;;
esac
"""
#: What MTProxy takes from glibc.
_GLIBC = b"""
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **words) {
    struct drand48_data state; long first, second; double share; void *stack[4];
    srand48_r(7, &state); lrand48_r(&state, &first); mrand48_r(&state, &second); drand48_r(&state, &share);
    srand48_r(7, &state); lrand48_r(&state, &second);
    backtrace_symbols_fd(stack, backtrace(stack, 4), 2);
    return printf("%s\\n", first == second && first && share < 1 ? "alike" : "not alike") < 0;
}
"""


def test_mtproxys_image_can_stand_on_alpines_c_library(tmp_path: Path) -> None:
    base = images.build("apk", "ARG BASE\nFROM ${BASE}\nCOPY apk /usr/local/bin/apk\n", {"apk": _APK},
                        {"BASE": images.ensure_base()}, ("apk",))
    shutil.copytree(ROOT / "host/images/mtproxy", tmp_path / "host/images/mtproxy")
    source = {**_MTPROXY_SOURCE, "MTProxy-9/main.c": _GLIBC}
    (tmp_path / "mtproxy.tar.gz").write_bytes(gzip.compress(images.archive(source)))
    tag = f"mtproto-test/dockerfile-mtproxy:{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--file", str(ROOT / "Dockerfile.mtproxy"), "--tag", tag,
           *build_arguments([f"BASE_IMAGE={base}", "MTPROXY_SOURCE=mtproxy.tar.gz"]), str(tmp_path))
    try:
        assert docker("run", "--rm", *HARDENED, "--entrypoint", "mtproto-proxy", tag).strip() == "alike"
    finally:
        docker("image", "rm", "--no-prune", tag)


def test_a_source_of_mtproxy_with_another_checksum_is_not_built() -> None:
    text = (ROOT / "Dockerfile.mtproxy").read_text()
    commit = re.search(r"^ARG MTPROXY_SOURCE=\S+/([0-9a-f]{40})\.tar\.gz$", text, re.MULTILINE)
    assert commit and re.search(r"^ARG MTPROXY_SHA256=[0-9a-f]{64}$", text, re.MULTILINE)
    assert "sha256sum" in text and "exit 1" in text


# Every kind of machine


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.mtg", "Dockerfile.telemt", "Dockerfile.mtproxy"])
def test_nothing_in_an_image_is_made_for_one_kind_of_machine(name: str) -> None:
    """What differs between amd64 and arm64 comes from the bases, apt, pip and npm, which know both."""
    text = (ROOT / name).read_text()
    assert not re.search(r"amd64|x86|arm64|aarch|\bcurl\b|\bwget\b|^ADD (?!\$\{(TELEMT|MTPROXY_SOURCE)\})", text,
                         re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize(("name", "sources"), [
    ("Dockerfile", {"PYTHON_IMAGE": "python:3.12-slim-bookworm", "NODE_IMAGE": "node:20-bookworm-slim"}),
    ("Dockerfile.mtg", {"MTG_IMAGE": "nineseconds/mtg:2.2.8", "BASE_IMAGE": "debian:bookworm-slim"}),
    ("Dockerfile.telemt", {"BUILD_IMAGE": "rust:1-bookworm", "BASE_IMAGE": "debian:bookworm-slim"}),
    ("Dockerfile.mtproxy", {"BASE_IMAGE": "debian:bookworm-slim"}),
])
def test_every_image_that_is_built_upon_can_be_replaced(name: str, sources: dict[str, str]) -> None:
    text = (ROOT / name).read_text()
    assert dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE)) == sources
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages == {f"${{{key}}}" for key in sources}
