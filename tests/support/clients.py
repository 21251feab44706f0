"""Independent Telegram clients, not ours: do they reach Telegram with this link?

    python -m tests.support.clients tdjson|kurigram|mtcute LINK

tdjson is Telegram's own TDLib, kurigram and telethon are other people's Python
clients, and mtcute is one for Node.js. Each function returns the milliseconds it took to get a resPQ, or raises
ClientFailure with the client's own reason. They connect to the proxy of the link
and to nothing else (tests/e2e/test_clients.py looks, with strace).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]


class ClientFailure(Exception):
    """The client did not get its answer; the message is the client's reason."""


def parts(link: str) -> tuple[str, int, str]:
    """Server, port and secret of a tg:// or https://t.me link, read apart from the code under test."""
    query = parse_qs(urlsplit(link).query, strict_parsing=True)
    return query["server"][0], int(query["port"][0]), query["secret"][0]


# --- TDLib ---------------------------------------------------------------------------------------


def tdjson(link: str, timeout: float = 120, prefix: tuple[str, ...] = ()) -> float:
    """TDLib's pingProxy, in a process of its own; milliseconds as TDLib tells them.

    prefix: a command to run it under (strace). One ping is a handshake and two
    req_pq_multi to DC 1, or fewer if the first answer is enough for TDLib.
    """
    with tempfile.TemporaryDirectory(prefix="tdlib-") as folder:
        command = [*prefix, sys.executable, "-m", "tests.support.clients", "tdjson", link, "--in", folder]
        try:
            done = subprocess.run(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise ClientFailure(f"TDLib did not answer within {timeout:g} s") from None
    if done.returncode:
        raise ClientFailure(done.stderr.strip() or f"TDLib ended with exit code {done.returncode}")
    return float(done.stdout)


def _tdjson_here(link: str, folder: str) -> float:
    import tdjson as td

    td.td_execute(json.dumps({"@type": "setLogVerbosityLevel", "new_verbosity_level": 0}).encode())
    client = td.td_create_client_id()

    def send(request: dict[str, object]) -> None:
        td.td_send(client, json.dumps(request).encode())

    def answer(extra: str, state: str = "") -> dict[str, object]:
        while True:
            raw = td.td_receive(1.0)
            event = json.loads(raw) if raw else {}
            if extra and event.get("@extra") == extra:
                return event
            if state and event.get("authorization_state", {}).get("@type") == state:
                return event

    # Without a network TDLib makes no connection of its own to Telegram's DCs; pingProxy works all
    # the same. Sent first: TDLib carries it out as it starts, before anything connects.
    send({"@type": "setNetworkType", "type": {"@type": "networkTypeNone"}})
    send(
        {
            "@type": "setTdlibParameters",
            "@extra": "parameters",
            "use_test_dc": False,
            "database_directory": folder,
            "files_directory": folder,
            "database_encryption_key": "",
            "use_file_database": False,
            "use_chat_info_database": False,
            "use_message_database": False,
            "use_secret_chats": False,
            "api_id": 1,
            "api_hash": "0" * 32,
            "system_language_code": "en",
            "device_model": "test",
            "system_version": "1",
            "application_version": "1",
        }
    )
    started = answer("parameters")
    if started["@type"] == "error":
        raise ClientFailure(f"TDLib did not start: {started['message']}")
    server, port, secret = parts(link)
    kind = {"@type": "proxyTypeMtproto", "secret": secret}
    proxy = {"@type": "proxy", "server": server, "port": port, "type": kind}
    send({"@type": "pingProxy", "@extra": "ping", "proxy": proxy})
    result = answer("ping")
    send({"@type": "close"})
    answer("", state="authorizationStateClosed")
    if result["@type"] == "error":
        raise ClientFailure(f"TDLib: {result['message']} (code {result['code']})")
    return float(result["seconds"]) * 1000


# --- kurigram ------------------------------------------------------------------------------------


async def kurigram(link: str, dc: int = 2, media: bool = False, timeout: float = 60) -> float:
    """kurigram's Connection with the link as its proxy, then ReqPqMulti; compares the nonce."""
    from io import BytesIO

    from pyrogram.connection import Connection
    from pyrogram.connection.proxy import normalize_proxy
    from pyrogram.connection.transport.tcp.tcp import TCP
    from pyrogram.raw.core import TLObject
    from pyrogram.raw.functions import ReqPqMulti
    from pyrogram.raw.types import ResPQ

    reasons: list[str] = []

    class Reasons(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reasons.append(record.getMessage())

    # Connection hides the reason of a failure in its log, and tries three times with pauses.
    handler = Reasons(logging.WARNING)
    log = logging.getLogger("pyrogram.connection")
    log.addHandler(handler)
    Connection.MAX_CONNECTION_ATTEMPTS = 1
    TCP.TIMEOUT = timeout  # its own 10 s are little for a hundred clients in one busy process
    connection = Connection(
        dc,
        "149.154.167.51",
        443,
        False,
        proxy=normalize_proxy(link),
        media=media,
        loop=asyncio.get_running_loop(),
    )
    started = time.perf_counter()
    try:
        async with asyncio.timeout(timeout):
            await connection.connect()
            nonce = int.from_bytes(os.urandom(16), "little", signed=True)
            body = ReqPqMulti(nonce=nonce).write()
            message_id = (int(time.time()) << 32).to_bytes(8, "little")
            await connection.send(bytes(8) + message_id + len(body).to_bytes(4, "little") + body)
            packet = await connection.recv()
        if packet is None:
            raise ClientFailure("kurigram: the connection ended instead of a resPQ")
        answer = TLObject.read(BytesIO(packet[20:]))
        if not isinstance(answer, ResPQ) or answer.nonce != nonce:
            raise ClientFailure(f"kurigram: not the resPQ asked for: {answer}")
        return (time.perf_counter() - started) * 1000
    except TimeoutError:
        raise ClientFailure(f"kurigram: no answer within {timeout:g} s") from None
    except OSError as error:
        raise ClientFailure(f"kurigram: {reasons[0] if reasons else error}") from error
    finally:
        log.removeHandler(handler)
        if connection.protocol is not None:
            await connection.close()
            connection.protocol.crypto_executor.shutdown(wait=False)


# --- telethon ------------------------------------------------------------------------------------


async def telethon(link: str, encoding: str = "padded", dc: int = 2, timeout: float = 60) -> float:
    """telethon's MTProxy connection (dd and plain secrets only), then ReqPqMulti.

    encoding: "abridged", "intermediate" or "padded". Of the time, about 2 s are
    telethon's own: it waits so long for a proxy that hangs up.
    """
    from collections import defaultdict

    from telethon import network
    from telethon.tl.functions import ReqPqMultiRequest
    from telethon.tl.types import ResPQ

    kinds = {
        "abridged": network.ConnectionTcpMTProxyAbridged,
        "intermediate": network.ConnectionTcpMTProxyIntermediate,
        "padded": network.ConnectionTcpMTProxyRandomizedIntermediate,
    }
    server, port, secret = parts(link)
    loggers = defaultdict(lambda: logging.getLogger("telethon"))
    connection = kinds[encoding]("149.154.167.51", 443, dc, loggers=loggers, proxy=(server, port, secret))
    started = time.perf_counter()
    try:
        async with asyncio.timeout(timeout):
            await connection.connect(timeout=timeout)
            sender = network.MTProtoPlainSender(connection, loggers=loggers)
            nonce = int.from_bytes(os.urandom(16), "little", signed=True)
            answer = await sender.send(ReqPqMultiRequest(nonce))
        if not isinstance(answer, ResPQ) or answer.nonce != nonce:
            raise ClientFailure(f"telethon: not the resPQ asked for: {answer}")
        return (time.perf_counter() - started) * 1000
    except TimeoutError:
        raise ClientFailure(f"telethon: no answer within {timeout:g} s") from None
    except (OSError, asyncio.IncompleteReadError) as error:
        raise ClientFailure(f"telethon: {error}") from error
    finally:
        await connection.disconnect()


# --- mtcute --------------------------------------------------------------------------------------

_MTCUTE = Path(__file__).with_name("mtcute")


def mtcute(link: str, dc: int = 2, timeout: float = 120) -> float:
    """mtcute's transport, packet codec and TL, then req_pq_multi; compares the nonce. In a process of its own."""
    # Where there is no Node.js, tests/run.sh has put one beside Python.
    node = shutil.which("node") or shutil.which("node", path=os.path.dirname(sys.executable))
    if not node or not (_MTCUTE / "node_modules").is_dir():
        raise ClientFailure("mtcute is not installed: bash tests/run.sh does it")
    try:
        done = subprocess.run([node, str(_MTCUTE / "ping.mjs"), link, str(dc)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ClientFailure(f"mtcute did not answer within {timeout:g} s") from None
    if done.returncode:
        raise ClientFailure(done.stderr.strip() or f"mtcute ended with exit code {done.returncode}")
    return float(done.stdout)


def main(arguments: list[str]) -> int:
    name, link, *rest = arguments
    try:
        if name == "tdjson" and rest[:1] == ["--in"]:
            print(_tdjson_here(link, rest[1]))
        elif name == "tdjson":
            print(f"{tdjson(link):.1f} ms")
        elif name == "mtcute":
            print(f"{mtcute(link):.1f} ms")
        else:
            print(f"{asyncio.run(kurigram(link)):.1f} ms")
    except ClientFailure as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
