"""MTProxy (github.com/TelegramMessenger/MTProxy, and its maintained fork): a container for every 16 users."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from app.commands import command_line
from app.config.model import Config
from app.engines.base import NOBODY, Basics, Capabilities, Counters, EngineRefusal, FrontOf, PlaceOf, container
from app.engines.mtproxy import arguments, stats
from app.engines.mtproxy.telegram_files import CONF, SECRET, Store, TelegramFiles
from app.messages import Problem
from app.mtproto.secret import KINDS
from app.rules.links import UserLink
from app.runtimes.base import NAME_PREFIX, Workload

NAME = f"{NAME_PREFIX}mtproxy"


class Mtproxy(Basics):
    """As it is named where there is no Docker: it can't be used there. MTProxy ends itself where its process id is
    above 65535, which only a container of its own rules out."""

    name = "mtproxy"
    capabilities = Capabilities(
        frozenset(KINDS), speed=NOBODY, devices=NOBODY, shared=NAME, several=True, direct=True, counts=False,
        ignores=("upstream_socks5", "proxy_dns", "proxy_blocklist", "domain_fronting_ip"))

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        if links:
            raise EngineRefusal("engine.mtproxy_needs_docker")
        return []

    def missing(self) -> Problem | None:
        return Problem("engine.mtproxy_needs_docker")

    def readings(self, links: Sequence[str], metrics: str) -> Mapping[str, Counters]:
        return stats.readings(links, metrics)

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return []


class MtproxyImage(Mtproxy):
    """The same in the image that config.mtproxy_docker_image names. telegram: where the files are that Telegram gives
    every MTProxy."""

    def __init__(self, telegram: Store) -> None:
        self.telegram = telegram

    def missing(self) -> Problem | None:
        return None

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        if not links:
            return []
        if not (telegram := self.telegram.read()):
            raise EngineRefusal("engine.mtproxy_no_files", command=command_line(
                self.telegram.folder.parent, "mtproxy files proxy-secret proxy-multi.conf", anywhere=True))
        by_number: dict[int, list[UserLink]] = {}
        for link in links:
            by_number.setdefault(max(1, link.user.mtproxy_container), []).append(link)
        return [_workload(number, arguments.served(theirs), config, place, telegram)
                for number, theirs in sorted(by_number.items())]


def _workload(number: int, links: Sequence[UserLink], config: Config, place: PlaceOf,
              telegram: TelegramFiles) -> Workload:
    here = container(NAME, number, config)
    at = place(here.port)
    # By this address MTProxy is known to Telegram's servers, and theirs of the key is worked out from it.
    address = config.server_ip or config.server_domain
    return Workload(
        name=here.name, user_id="", engine=Mtproxy.name, image=config.mtproxy_docker_image, command=("{folder}",),
        files={"arguments": "".join(f"{word}\n" for word in arguments.words(links, config, at)),
               f"{SECRET}.b64": base64.b64encode(telegram.secret).decode() + "\n", CONF: telegram.conf},
        port=here.port, place=at, metrics_path=stats.PATH, env={"MTPROXY_ADDRESS": address} if address else {},
        memory_mb=config.mtproxy_limit_mb, links=tuple(link.id for link in links))
