"""What the nginx in the container can do: it is asked, once for each container."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from app.runtimes.docker.service import Service

#: `listen … http2` is old since this version, and said so in the log at each reload; before, there is nothing else.
_HTTP2_ON = (1, 25, 1)

#: The module for scripts, where it does not come with modules-enabled: the official image has the file only.
_LOAD = "load_module modules/ngx_stream_js_module.so;"

#: Prints the version, and how the module is loaded: LOADED, LOAD, or nothing if there is none that has dictionaries.
_ASK = f"""
nginx -v 2>&1
mkdir -p /run/check/can || exit 1
for load in '' '{_LOAD}'; do
    echo "pid /run/check/can/pid; error_log stderr emerg; include /etc/nginx/modules-enabled/*.conf; $load
          events {{}} stream {{ js_shared_dict_zone zone=can:64k timeout=1s; }}" >/run/check/can/nginx.conf
    if nginx -t -q -c /run/check/can/nginx.conf 2>/dev/null; then
        [ -n "$load" ] && echo LOAD || echo LOADED
        break
    fi
done
"""


@dataclass(frozen=True)
class Abilities:
    """http2_on: it has the directive http2. scripts: the line that loads its module for scripts, "" if that is loaded
    anyway; None: there is none, or it is too old (njs before 0.8.0)."""

    http2_on: bool = False
    scripts: str | None = None


#: In a tree that not every nginx can read: for which one it was made.
MADE_FOR = "parts/made-for.json"

#: What every nginx can do.
ANY = Abilities()


def made_for(can: Abilities) -> dict[str, bytes]:
    """The MADE_FOR file, if there has to be one."""
    return {} if can == ANY else {MADE_FOR: json.dumps(asdict(can)).encode()}


def read(tree: Path) -> Abilities:
    """For which nginx this tree was made."""
    try:
        told = json.loads((tree / MADE_FOR).read_text())
        return Abilities(told["http2_on"] is True, told["scripts"] and str(told["scripts"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ANY


def ask(nginx: Service) -> Abilities:
    """Raises RuntimeFailure."""
    _, printed = nginx.run(["sh", "-c", _ASK])
    return parse(printed)


def parse(printed: str) -> Abilities:
    """From what _ASK prints."""
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", printed)
    lines = printed.split("\n")
    return Abilities(version is not None and tuple(map(int, version.groups())) >= _HTTP2_ON,
                     "" if "LOADED" in lines else _LOAD if "LOAD" in lines else None)
