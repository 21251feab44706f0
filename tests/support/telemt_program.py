"""Stands in for telemt: reads the same files, tells the same metrics and answers the same API, as far as the panel uses
them, and serves by the built-in engine's parts. Where telemt has a habit that the panel has to live with, so has this:
who is taken out of the file keeps the sessions that they have, who is disabled there loses them at once; a session
keeps the speed that it began with; a file that is broken changes nothing.

    telemt_program.py run [--data-path FOLDER] config.toml
    telemt_program.py healthcheck config.toml --mode liveness

tests/engines/test_telemt.py holds it, and the real one where there is one, to the same contract.
"""

from __future__ import annotations

import asyncio
import copy
import http.client
import ipaddress
import json
import os
import re
import sys
import time
import tomllib
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.builtin import server
from app.builtin.connection import Connection
from app.builtin.engine import Engine
from app.builtin.metrics import Metrics
from app.builtin.ratelimit import Limits, RateLimiter
from app.builtin.settings import Endpoint, parse_settings
from app.mtproto import faketls
from app.mtproto.secret import FAKETLS, Secret

LOOK = 0.02  # seconds between two looks at the files
DEBOUNCE = 0.05  # seconds for which telemt lets a file settle


def log(level: str, text: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    print(f"{now} {level:>5} {text}", flush=True)


class Served:
    """What is told of a user in this run. view: the engine as this user's connections see it."""

    def __init__(self, engine: Engine) -> None:
        self.metrics = Metrics()
        self.relays: set[Any] = set()
        self.addresses: Counter[str] = Counter()
        self.engine = engine

    def view(self, key: str, bits: int) -> Engine:
        """For one connection, which keeps its speed."""
        view = copy.copy(self.engine)
        view.settings = replace(self.engine.settings, secret=Secret(FAKETLS, bytes.fromhex(key), "any.invalid"))
        view.metrics, view.relays, view.limiter = self.metrics, self.relays, RateLimiter()
        view.limiter.apply(Limits(total=bits))
        return view

    @property
    def down(self) -> int:
        return sum(traffic.down for traffic in self.metrics.telegram.values())

    @property
    def up(self) -> int:
        return sum(traffic.up for traffic in self.metrics.telegram.values())

    @property
    def connections(self) -> int:
        return sum(traffic.connections for traffic in self.metrics.telegram.values())


class Telemt:
    """The running program. access: the table of the file that it goes by."""

    def __init__(self, config: Path) -> None:
        self.path = config
        self.text, self.config = load(config)
        self.access: dict[str, Any] = self.config["access"]
        self.served: dict[str, Served] = {}
        self.bad: Counter[str] = Counter()
        self.scanners: Counter[str] = Counter()
        self.limiters: dict[str, RateLimiter] = {}
        self.rust_log = os.environ.get("RUST_LOG", "")  # until the level is changed, and never again
        self.engine: Engine | None = None

    def begin(self) -> None:
        self.engine = Engine(settings(self.config), self.path.parent / "none")

    def user(self, name: str) -> Served:
        assert self.engine
        return self.served.setdefault(name, Served(self.engine))

    def look(self) -> None:
        """Take over what the files hold now, but for what needs a restart."""
        try:
            text, config = load(self.path)
        except (OSError, ValueError, KeyError) as error:
            log("ERROR", f'telemt::config::hot_reload: config reload: failed to parse "{self.path}": '
                         f"Config error: {error}")
            return
        before, self.text, self.access = self.access, text, config["access"]
        level = self.config["general"]["log_level"]
        if level != config["general"]["log_level"]:
            log("INFO", f"telemt::config::hot_reload: config reload: log_level: '{level}' → "
                        f"'{config['general']['log_level']}'")
            self.config["general"]["log_level"], self.rust_log = config["general"]["log_level"], ""
        if "telemt::links=off" not in self.rust_log:
            for name in self.access["users"].keys() - before["users"].keys():
                log("INFO", f"telemt::links:   EE-TLS:  tg://proxy?server=203.0.113.7&port=443&secret="
                            f"ee{self.access['users'][name]}7777772e")
        for name, enabled in self.access.get("user_enabled", {}).items():
            if not enabled and before.get("user_enabled", {}).get(name, True):
                for relay in [*self.user(name).relays]:
                    relay.close()

    async def watch(self) -> None:
        seen = self.raw()
        while True:
            await asyncio.sleep(LOOK)
            if (now := self.raw()) != seen:
                seen = now
                await asyncio.sleep(DEBOUNCE)
                self.look()

    def raw(self) -> list[bytes]:
        found = []
        for file in sorted(self.path.parent.glob("*.toml")):
            with suppress(OSError):
                found.append(file.read_bytes())
        return found

    def metrics(self) -> str:
        lines = ["# TYPE telemt_connections_bad_total counter", f"telemt_connections_bad_total {self.bad.total()}"]
        lines += [f'telemt_connections_bad_by_class_total{{class="{reason}"}} {count}'
                  for reason, count in sorted(self.bad.items())]
        for name, user in self.served.items():
            for metric, value in (("connections_current", user.connections), ("octets_from_client", user.up),
                                  ("octets_to_client", user.down)):
                lines.append(f'telemt_user_{metric}{{user="{name}"}} {value}')
        limits = self.access.get("user_max_unique_ips", {})
        for name in sorted({*self.access["users"], *limits}):
            current = len(self.served[name].addresses) if name in self.served else 0
            lines += [f'telemt_user_unique_ips_current{{user="{name}"}} {current}',
                      f'telemt_user_unique_ips_limit{{user="{name}"}} {limits.get(name, 0)}']
        return "\n".join([*lines, "telemt_telemetry_user_series_suppressed 0", ""])

    def told(self, target: str) -> tuple[int, str]:
        """Beside the metrics: whom it turned away, if it is to remember them."""
        if target == "/metrics":
            return 200, self.metrics()
        if target != "/beobachten" or not self.config["general"].get("beobachten"):
            return 404, "Not Found\n"
        found = [f"{address}-{count}" for address, count in self.scanners.items()]
        return 200, "\n".join(["[TLS-scanner]", *found, ""])

    def api(self, method: str, path: str, header: str) -> tuple[int, object]:
        told = self.config["server"]["api"]
        if header != told["auth_header"]:
            return 401, {"ok": False, "error": {"code": "unauthorized"}}
        if method != "GET":
            return 403, {"ok": False, "error": {"code": "read_only"}}
        if path == "/v1/health":
            return 200, {"ok": True, "data": {"status": "ok"}}
        if path == "/v1/stats/users/active-ips":
            return 200, {"ok": True, "data": [{"username": name, "active_ips": sorted(user.addresses)}
                                              for name, user in self.served.items() if user.addresses]}
        return 404, {"ok": False, "error": {"code": "not_found"}}


class ManyKeys(Connection):
    """A client is known by which of the keys it has."""

    program: Telemt
    name = ""

    async def _serve(self) -> None:
        trusted = self.program.config["server"]["proxy_protocol_trusted_cidrs"]
        if self._engine.settings.proxy_protocol_listener and not any(
                ipaddress.ip_address(self._peer[0]) in ipaddress.ip_network(network) for network in trusted):
            self.program.bad["proxy_protocol_untrusted"] += 1
            return
        await super()._serve()

    def _check(self, hello: faketls.ClientHello) -> None:
        access, engine = self.program.access, self._engine
        found = {name: proof for name, key in access["users"].items() if (proof := proven(hello, key))}
        if not found:
            self.program.bad["tls_handshake_bad_client"] += 1
            self.program.scanners[self._peer[0]] += 1
            if self.program.config["general"]["log_level"] == "verbose" and not self.program.rust_log:
                log("DEBUG", "telemt::proxy::handshake: TLS handshake validation failed - no matching user "
                             f"peer={self._peer[0]}:{self._peer[1]}")
            raise faketls.Refused("no key")
        ((name, proof),) = found.items()
        if engine.replays and engine.replays.seen_before(proof.digest):
            raise faketls.Refused("replay")
        faketls.check_rest(hello, proof, (*hello.server_names, "")[0], time.time(), 120.0)
        bits = access.get("user_rate_limits", {}).get(name, {}).get("down_bps", 0)
        self.name, user = name, self.program.user(name)
        self._engine = user.view(access["users"][name], bits)
        if bits:  # shared by the user's connections of this speed
            self._engine.limiter = self.program.limiters.setdefault(f"{name} {bits}", self._engine.limiter)

    async def _relay_to_telegram(self, payload: bytearray, records: Any) -> None:
        access, user, address = self.program.access, self.program.user(self.name), self._peer[0]
        limit = access.get("user_max_unique_ips", {}).get(self.name, 0)
        if limit and address not in user.addresses and len(user.addresses) >= limit:
            log("WARN", f"telemt::proxy::client: IP limit exceeded user={self.name} ip={address} reason=IP limit")
            return
        if not access.get("user_enabled", {}).get(self.name, True) or self.name not in access["users"]:
            return
        user.addresses[address] += 1
        try:
            await super()._relay_to_telegram(payload, records)
        finally:
            user.addresses[address] -= 1
            user.addresses += Counter()


def proven(hello: faketls.ClientHello, key: str) -> faketls.Proof | None:
    with suppress(faketls.Refused):
        return faketls.check_key(hello, bytes.fromhex(key))
    return None


def load(path: Path) -> tuple[str, dict[str, Any]]:
    """The text with what it includes, and what it says. Raises ValueError as telemt refuses it."""
    lines = [path.with_name(line.split('"')[1]).read_text() if line.startswith("include = ") else line
             for line in path.read_text().splitlines()]
    text = "\n".join(lines)
    config = tomllib.loads(text)
    if not config["access"]["users"]:
        raise ValueError("No users configured")
    for name, key in config["access"]["users"].items():
        if not re.fullmatch("[0-9a-fA-F]{32}", key):
            raise ValueError(f"Invalid secret for user '{name}'")
    return text, config


def settings(config: dict[str, Any]) -> Any:
    told, cover = config["server"], config["censorship"]
    secret = Secret.generate(cover["tls_domain"])
    ip = told["listeners"][-1]["ip"]
    (upstream,) = config["upstreams"]
    login = f'{upstream["username"]}:{upstream["password"]}@' if "username" in upstream else ""
    proxies = [f'socks5://{login}{upstream["address"]}'] if upstream["type"] == "socks5" else []
    pinned = f"""[domain-fronting]
ip = "{cover["mask_host"].strip("[]")}"
port = {cover["mask_port"]}
proxy-protocol = {str(bool(cover.get("mask_proxy_protocol"))).lower()}
""" if "mask_host" in cover else ""
    return parse_settings(f"""
secret = "{secret.hex}"
bind-to = "{Endpoint(ip, told["port"])}"
concurrency = {told["max_connections"]}
proxy-protocol-listener = {str(told["proxy_protocol"]).lower()}
{pinned}
[defense.anti-replay]
enabled = false
[network]
proxies = {json.dumps(proxies)}
""")


def answering(program: Telemt, path: str) -> Any:
    """What serves the metrics and what is beside them (path), or the API for ""."""
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split("\r\n")[0].split()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                if path:
                    status, body = program.told(target)
                else:
                    status, told = program.api(method, target, headers.get("Authorization", ""))
                    body = json.dumps(told)
                data = body.encode()
                writer.write(f"HTTP/1.1 {status} {http.client.responses[status]}\r\nContent-Length: {len(data)}"
                             "\r\n\r\n".encode() + data)
                await writer.drain()
                if headers.get("Connection") == "close":
                    break
        writer.close()

    return answer


async def main(program: Telemt) -> None:
    program.begin()
    assert program.engine
    ManyKeys.program, server.Connection = program, ManyKeys
    told = program.config["server"]
    listener = server.Listener(program.engine, server.listen(program.engine.settings.bind_to))
    for address, path in ((told["metrics_listen"], "/metrics"), (told["api"]["listen"], "")):
        host, _, port = address.rpartition(":")
        await asyncio.start_server(answering(program, path), host.strip("[]"), int(port))
    print(f"listening on {program.engine.settings.bind_to}", flush=True)
    await program.watch()
    listener.close()


def healthcheck(config: dict[str, Any]) -> int:
    told = config["server"]["api"]
    host, _, port = told["listen"].rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host)
    connection = http.client.HTTPConnection(host, int(port), timeout=2)
    connection.request("GET", "/v1/health", headers={"Authorization": told["auth_header"], "Connection": "close"})
    return 0 if connection.getresponse().status == 200 else 1


if __name__ == "__main__":
    file = Path(next(word for word in sys.argv[2:] if word.endswith(".toml")))
    try:
        if sys.argv[1] == "healthcheck":
            sys.exit(healthcheck(load(file)[1]))
        begun = Telemt(file)
    except (OSError, ValueError, KeyError) as trouble:
        sys.exit(f"[telemt] Error: {trouble}")
    asyncio.run(main(begun))
