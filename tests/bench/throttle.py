"""python -m tests.bench.throttle [SPEED ...]: what a speed limit really lets through, and what it costs.

For each speed in Mbit/s (1, 5, 20 and 100, if none is given): payload that arrives at the client and
at the DC, the most memory that the container took meanwhile, and how long it takes to put the limit on
and to read it back. The image's mtg is the built-in engine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from docker import APIClient

from app.engines.mtg.engine import MtgImage
from app.runtimes.docker.runtime import DockerRuntime
from tests.docker import images
from tests.support.cover import free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import installation
from tests.support.fleet import Fleet
from tests.support.goodput import download_speed, memory_in_use, upload_speed, use_cubic


def seconds(verb: Callable[[], object]) -> float:
    began = time.perf_counter()
    verb()
    return time.perf_counter() - began


class PeakMemory:
    """The most memory that a container took between `with` and its end, in bytes."""

    def __init__(self, api: APIClient, container: str) -> None:
        self._api, self._container = api, container
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.2):
            self.bytes = max(self.bytes, memory_in_use(self._api, self._container))


def measure(runtime: DockerRuntime, api: APIClient, name: str, link: str, center: DataCenter,
            mbps: float) -> str:
    """One row of the table."""
    apply = seconds(lambda: runtime.throttle(name, round(mbps * 1e6)))
    # Another one, which has read nothing yet, but has its connection to the engine.
    reader = DockerRuntime(runtime.instance, runtime.network)
    reader.observe()
    read_back = seconds(lambda: reader.throttled(name))
    reader.close()
    with PeakMemory(api, name) as peak:
        down = download_speed(link, mbps * 1e6) / 1e6
        up = upload_speed(link, center) / 1e6
    return (f"{mbps:8g}{down:10.2f} ({down / mbps:4.0%}){up:10.2f} ({up / mbps:4.0%})"
            f"{peak.bytes / 2**20:10.1f}{apply:9.2f}{read_back:11.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.bench.throttle",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speeds", metavar="SPEED", type=float, nargs="*", help="Mbit/s")
    arguments = parser.parse_args()
    images.ensure_engine()
    api = APIClient(version="auto")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, installation("bench") as runtime:
        runtime.place(1, "")  # makes the network
        gateway = api.inspect_network(runtime.network)["IPAM"]["Config"][0]["Gateway"]
        center = DataCenter(host=gateway).start()
        use_cubic(center)
        fleet = Fleet(Path(folder) / "data", runtime, MtgImage())
        fleet.set_settings({
            "proxy_image": images.build_mtg_custom(), "upstream_socks5": center.socks5,
            "server_ip": gateway, "proxy_bind": gateway, "proxy_port": str(free_port())})
        user = fleet.add_user("throttled")
        if user.state != "running":
            raise SystemExit(f"the proxy does not run: {user.reason}")
        print(f"without a limit: {download_speed(user.tg_link, 5e8, 2.0) / 1e6:.0f} Mbit/s down")
        print("  Mbit/s             down                up    MB peak  apply s  read back s")
        for mbps in arguments.speeds or (1, 5, 20, 100):
            row = measure(runtime, api, f"mtg-proxy-{user.port}", user.tg_link, center, mbps)
            print(row, flush=True)
        center.stop()
    api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
