"""A workload as Docker's API wants it: labels, limits, hardening, and the archive with its files. Pure."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from app.runtimes import ports
from app.runtimes.base import IMAGE_FOLDER, OWN_FOLDER, Workload

#: Labels of a container. The first five say whose it is, and what it was made from.
MANAGED, INSTANCE, USER = "mtproto.managed", "mtproto.instance", "mtproto.user"
SPEC, ENGINE = "mtproto.spec", "mtproto.engine"
#: What is needed to look after it without the declaration at hand.
NAME, METRICS, LISTEN, MEMORY = "mtproto.name", "mtproto.metrics", "mtproto.listen", "mtproto.memory"
#: Ids of the links that it serves; one that was made before links had ids has no such label.
LINKS = "mtproto.links"
#: The names of its live files; one without any has no such label.
LIVE = "mtproto.live"
#: A hash of each other file, as name=hash; one of an older version has no such label.
FILES = "mtproto.files"

CONFIG = f"{IMAGE_FOLDER}/config.toml"

#: nobody, in every image, one without /etc/passwd too: no engine needs more, from port 1024 on.
ACCOUNT = 65534

#: Docker's own restart policy says whether a container is meant to run: "stopped" survives a reboot so.
KEEP_RUNNING, STAY_STOPPED = "unless-stopped", "no"

_SECOND = 10**9  # Docker counts in nanoseconds


def labels(workload: Workload, instance: str) -> dict[str, str]:
    return {
        MANAGED: "1", INSTANCE: instance, USER: workload.user_id, SPEC: workload.spec,
        ENGINE: workload.engine, NAME: workload.name, MEMORY: str(workload.memory_mb),
        LINKS: " ".join(workload.settled_links),
        METRICS: f"{ports.split(workload.place.metrics)[1]}{workload.metrics_path}",
        LISTEN: str(ports.split(workload.place.listen)[1]),
        FILES: " ".join(f"{name}={hashed(text)}" for name, text in sorted(workload.files.items())),
        **({LIVE: " ".join(sorted(workload.live_files))} if workload.live_files else {}),
    }


def hashed(text: str) -> str:
    """What the label has of a file with this text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def label_filter(instance: str, name: str = "") -> dict[str, list[str]]:
    """The filter that finds what this installation made: all of it, or for the workload of this name."""
    return {"label": [f"{MANAGED}=1", f"{INSTANCE}={instance}", *([f"{NAME}={name}"] if name else [])]}


def container(workload: Workload, instance: str, network: str) -> dict[str, Any]:
    """The body of POST /containers/create. network: name of the proxies' network."""
    told = labels(workload, instance)
    listen = f"{told[LISTEN]}/tcp"
    host: dict[str, Any] = {
        "NetworkMode": network,
        "RestartPolicy": {"Name": KEEP_RUNNING},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "PidsLimit": 256,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
        # A volume without a name, which goes with the container: no folder of the host is needed,
        # so a remote engine works too. It can be written between create and start; the root can't.
        "Mounts": [{"Type": "volume", "Target": IMAGE_FOLDER, "VolumeOptions": {"NoCopy": True, "Labels": told}}],
    }
    if workload.memory_mb:
        # As much with swap as without: a proxy that is to be stopped must not first slow down the machine.
        host["Memory"] = host["MemorySwap"] = workload.memory_mb << 20
    if workload.place.publish:
        ip, port = split_publish(workload.place.publish)
        host["PortBindings"] = {listen: [{"HostIp": ip, "HostPort": str(port)}]}
    return {
        "Image": workload.image,
        "Cmd": _command(workload.command),
        "Env": [f"{key}={value}" for key, value in sorted(workload.env.items())],
        "User": f"{ACCOUNT}:{ACCOUNT}",
        "Labels": told,
        "ExposedPorts": {listen: {}},
        # Which program asks is the image's business (its HEALTHCHECK; there is none in an image
        # without tools), unless the engine says one. It must ask the metrics port: a connection to the
        # clients' port is a probe to mtg, which it passes on to the cover host and counts.
        "Healthcheck": {"Interval": 60 * _SECOND, "Timeout": 10 * _SECOND, "Retries": 3,
                        **({"Test": ["CMD", *_command(workload.healthcheck)]} if workload.healthcheck else {})},
        "HostConfig": host,
        # While one replaces another, both have the name: none in between looks for it in vain.
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [workload.name]}}},
    }


def _command(parts: Iterable[str]) -> list[str]:
    return [part.replace("{config}", CONFIG).replace("{folder}", IMAGE_FOLDER) for part in parts]


def split_publish(publish: str) -> tuple[str, int]:
    """":port" or "ip:port" -> (ip or "", port)."""
    if publish.startswith(":"):
        return "", int(publish[1:])
    return ports.split(publish)


def archive(files: Mapping[str, str]) -> bytes:
    """A tar of the files, readable by the container's account and by nobody else, writable by none; and of a folder
    that is the account's own, for what it wants to find again after a restart."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        own = tarfile.TarInfo(OWN_FOLDER)
        own.type, own.mode, own.uid, own.gid = tarfile.DIRTYPE, 0o700, ACCOUNT, ACCOUNT
        tar.addfile(own)
        for name, text in sorted(files.items()):
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(data), 0o440, 0, ACCOUNT
            entry.mtime = time.time()  # by which a program that looks at it again and again sees that it is another
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def unpacked(packed: bytes, names: Collection[str]) -> dict[str, str]:
    """What the files of these names hold in a tar of their folder; one that is missing is left out."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for entry in tar:
            name = entry.name.rpartition("/")[2]
            if name in names and (file := tar.extractfile(entry)):
                found[name] = file.read().decode(errors="replace")
    return found
