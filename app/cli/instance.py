"""The one panel of a data folder: who it is, and whether its port is free. Standard library only.

`data/panel.pid` holds the panel's process id and its URL, one a line. The panel
keeps an exclusive flock on it as long as it lives, so a process id that another
program got after a reboot is never taken for the panel.

install.sh runs this module with the system's Python, before anything is
installed: `python3 -m app.cli.instance BIND PORT DATA` exits 1, with a message,
when a panel of that folder could not listen there.
"""

from __future__ import annotations

import ipaddress
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.lib import private
from app.lib.filelock import try_flock
from app.messages.errors import Coded
from app.runtimes.ports import bind_error, is_free, join, own_address

STOP_SECONDS = 20


class PanelError(Coded):
    """The panel can't be started or ended: what is wrong, and what mends it."""


@dataclass(frozen=True)
class Running:
    pid: int
    url: str


def url_of(bind: str, port: int) -> str:
    """The address to open in a browser on this machine."""
    host = bind.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        host = "127.0.0.1"  # "::" means both families
    return f"http://{join(host, port)}"


def from_elsewhere(bind: str, port: int, server: str = "") -> list[str]:
    """How a browser on another computer gets to a panel that listens there, in lines for people.

    server: how people reach this machine, if that is declared.
    """
    here = url_of(bind, port)
    host = bind.strip("[]")
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = ipaddress.ip_address("127.0.0.1") if host == "localhost" else None
    if address and address.is_loopback:
        inside = f"[{address}]" if address.version == 6 else address
        return [(f"From your own computer:     ssh -L {port}:{inside}:{port} {server or 'THIS-SERVER'}, then open "
                 f"http://127.0.0.1:{port}")]
    there = f"http://{join(server or own_address(), port)}" if address and address.is_unspecified else here
    return [f"From your own computer:     open {there}",
            ("WARNING: whoever can reach this address can try to log in, and passwords cross the network unencrypted: "
             "this is plain HTTP."),
            (f"Safer: --bind 127.0.0.1 and ssh -L {port}:127.0.0.1:{port} {server or 'THIS-SERVER'}, or a reverse "
             "proxy with HTTPS (docs/https.md).")]


def listen(bind: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises PanelError when the port or the address can't be had."""
    try:
        family, *_, address = socket.getaddrinfo(bind.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise PanelError("panel.no_address", "bind", bind=bind) from None
    ip = str(address[0])
    if why := bind_error(join(ip, port)):
        free = (p for p in (*range(port + 1, 65536), *range(1024, port)) if is_free(join(ip, p)))
        if why.code == "port.taken":
            raise PanelError("panel.port_taken", "port", reason=why, free=next(free))
        raise PanelError("panel.unusable", "port", reason=why)
    # "::" takes IPv4 as well, whatever the system's default is: as the proxies do.
    both = ip == "::"
    try:
        return socket.create_server(address[:2], family=family, dualstack_ipv6=both)
    except OSError as error:
        raise PanelError("panel.no_listen", "port", bind=bind, port=port, reason=error.strerror) from None


class PanelFile:
    def __init__(self, data_dir: Path | str) -> None:
        self.data_dir = Path(data_dir)
        self.path = self.data_dir / "panel.pid"

    def running(self) -> Running | None:
        """The panel that serves this folder now."""
        try:
            handle = self.path.open()
        except FileNotFoundError:
            return None
        with handle:
            if try_flock(handle, shared=True):
                return None
            lines = handle.read().split("\n")
        try:
            return Running(int(lines[0]), lines[1])
        except (ValueError, IndexError):
            return Running(0, "")  # it is just starting

    def _without_file(self) -> Running | None:
        """A panel of this folder whose file was deleted: the kernel still knows that it has it open, and where
        that would be now, after a rename too."""
        deleted = f"{self.path.resolve()} (deleted)"
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if any(os.readlink(file.path) == deleted for file in os.scandir(f"{entry.path}/fd")):
                    return Running(int(entry.name), "its address is not known")
            except OSError:
                continue  # another account's, or it has just ended
        return None

    def claim(self, url: str) -> IO[str]:
        """Become the panel of this folder for as long as the returned file is open.

        Raises PanelError when there is one already. A worker that outlives its
        killed master for a second is waited for.
        """
        handle = open(self.path, "a+", opener=private.opener)
        deadline = time.monotonic() + 5
        while not try_flock(handle):
            other = self.running()
            if other and (_alive(other.pid) or time.monotonic() > deadline):
                raise PanelError("panel.runs", folder=self.data_dir, pid=other.pid, url=other.url)
            time.sleep(0.1)
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n{url}\n")
        handle.flush()
        return handle

    def stop(self) -> Running | None:
        """End the panel, not its proxies, and wait for its end; None if none was running. Raises PanelError."""
        panel = self.running() or self._without_file()
        if panel is None:
            return None
        with _Watched(panel.pid) as process:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                try:
                    if panel.pid:
                        os.kill(panel.pid, sign)
                except ProcessLookupError:
                    pass  # its worker notices within a second, and ends too
                except PermissionError:
                    raise PanelError("panel.foreign", pid=panel.pid) from None
                deadline = time.monotonic() + STOP_SECONDS
                while time.monotonic() < deadline:
                    # The lock is free a moment before the process has gone.
                    if process.ended() and self.running() is None:
                        return panel
                    time.sleep(0.1)
        raise PanelError("panel.does_not_end", pid=panel.pid)


class _Watched:
    """One process, known by a descriptor: its id may be another's by the time it is looked at."""

    def __init__(self, pid: int) -> None:
        try:
            self._fd = os.pidfd_open(pid) if pid else -1
        except ProcessLookupError:
            self._fd = -1

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def ended(self) -> bool:
        return self._fd < 0 or bool(select.select([self._fd], [], [], 0)[0])


def _alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()


def main(bind: str, port: str, data: str) -> None:
    panel = PanelFile(data).running()
    if panel and panel.url == url_of(bind, int(port)):
        return  # that's us: the port will be free when we restart
    try:
        listen(bind, int(port)).close()
    except PanelError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
